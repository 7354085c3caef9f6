#!/usr/bin/perl
# SPDX-License-Identifier: MIT
# The agent of a 32-bit guest, in place of `e2e`, which is built for 64 bits alone:
# `e2e probe pattern` and `e2e probe loopback` of the end-to-end tests, with the same
# output.
use strict;
use warnings;

# asm-generic/ioctls.h and asm-generic/termios.h
use constant { TCSBRK => 0x5409, TIOCMGET => 0x5415, TIOCMSET => 0x5418 };
use constant { DTR => 0x2, RTS => 0x4, OUT1 => 0x2000, OUT2 => 0x4000, LOOP => 0x8000 };
use constant OUTPUTS => DTR | RTS | OUT1 | OUT2;
my @names = ( [ DTR, 'DTR' ], [ RTS, 'RTS' ], [ 0x20, 'CTS' ], [ 0x40, 'CD' ], [ 0x80, 'RI' ],
    [ 0x100, 'DSR' ], [ OUT1, 'OUT1' ], [ OUT2, 'OUT2' ] );

# `length` bytes of the tests' xorshift sequence.
sub pattern {
    my ( $seed, $length ) = @_;
    my $state = ( $seed * 2 + 1 ) & 0xffffffff;
    my $bytes = '';
    for ( 1 .. $length ) {
        $state ^= $state << 13 & 0xffffffff;
        $state ^= $state >> 17;
        $state ^= $state << 5 & 0xffffffff;
        $bytes .= chr( $state >> 16 & 0xff );
    }
    return $bytes;
}

sub get {
    my $lines = pack 'i', 0;
    ioctl( STDIN, TIOCMGET, $lines ) or die "TIOCMGET: $!\n";
    return unpack 'i', $lines;
}

sub set {
    my $lines = pack 'i', shift;
    ioctl( STDIN, TIOCMSET, $lines ) or die "TIOCMSET: $!\n";
}

# The names of the lines that are on.
sub lines {
    my $lines = get();
    return join ' ', map { $lines & $_->[0] ? $_->[1] : () } @names;
}

# Sends the pattern; returns the bytes received. None may come after the last, for a
# second.
sub send_around {
    my ($pattern) = @_;
    open my $port, '+<', '/dev/tty' or die "/dev/tty: $!\n";
    my $sender = fork // die "fork: $!\n";
    if ( $sender == 0 ) {
        while ( length $pattern ) {
            my $sent = syswrite( $port, $pattern ) // die "write: $!\n";
            substr $pattern, 0, $sent, '';
        }
        ioctl $port, TCSBRK, 1;
        exit;
    }
    my $came = '';
    while (1) {
        my $ready = '';
        vec( $ready, fileno $port, 1 ) = 1;
        select( $ready, undef, undef, length $came < length $pattern ? 10 : 1 ) or last;
        sysread( $port, $came, 4096, length $came ) or die "no more input: $!\n";
    }
    kill 'KILL', $sender;
    waitpid $sender, 0;
    return $came;
}

sub loopback {
    chomp( my $modes = `stty -g` );
    system qw(stty raw -echo clocal -ixoff -ixany);
    my $outputs = get() & OUTPUTS;
    my @found = ( [ before => lines() ] );
    for ( [ 'all off', 0 ], [ 'RTS on', RTS ], [ 'DTR on', DTR ], [ 'OUT1 on', OUT1 ],
        [ 'OUT2 on', OUT2 ], [ 'all on', OUTPUTS ] )
    {
        my ( $step, $on ) = @$_;
        set( LOOP | $on );
        push @found, [ $step => lines() ];
    }
    my $came = send_around( pattern( 42, 4096 ) );
    set($outputs);
    push @found, [ after => lines() ];
    open my $file, '>', '/tmp/came' or die "/tmp/came: $!\n";
    print $file $came;
    close $file;
    my ($sum) = split ' ', `sha256sum /tmp/came`;
    push @found, [ bytes => $sum ], [ length => length $came ];
    system 'stty', $modes;
    print '{', join( ',', map { "\"$_->[0]\":\"$_->[1]\"" } @found ), "}\n";
}

my ( $verb, $what, @rest ) = @ARGV;
binmode STDOUT;
if ( "$verb $what" eq 'probe pattern' ) {
    print pattern(@rest);
}
elsif ( "$verb $what" eq 'probe loopback' ) {
    loopback();
}
else {
    die "@ARGV: not in a 32-bit guest\n";
}
