#!/bin/sh
# SPDX-License-Identifier: MIT
# How xl reads `pl011` in a guest's configuration: every case is a dry run
# (`xl create -n`), which needs only xl and a hypervisor.
# Prints one line for each case; exits with 1 if a case failed. XL sets another xl.

XL=${XL:-xl}
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
total=0
failed=0

# try WHAT LINES: leaves exit status in $status, JSON and messages in $dir.
try() {
    what=$1
    printf 'name = "case"\nkernel = "/dev/null"\nmemory = 64\n%b' "$2" \
        >"$dir/cfg"
    $XL create -n "$dir/cfg" >"$dir/json" 2>"$dir/messages"
    status=$?
    total=$((total + 1))
}

pass() { echo "ok   $what"; }

fail() {
    failed=$((failed + 1))
    echo "FAIL $what: $1 (exit status $status)"
    sed 's/^/     /' "$dir/messages"
}

# taken WHAT LINES JSON: accepted, and the configuration holds JSON.
taken() {
    try "$1" "$2"
    if [ $status -ne 0 ]; then fail "refused"
    elif ! grep -qF "$3" "$dir/json"; then fail "no $3 in the result"
    else pass; fi
}

# absent WHAT LINES: accepted, and the configuration does not hold pl011.
absent() {
    try "$1" "$2"
    if [ $status -ne 0 ]; then fail "refused"
    elif grep -q pl011 "$dir/json"; then fail "the result names pl011"
    else pass; fi
}

# refused WHAT LINES MESSAGE [OTHER]: not accepted; the error has MESSAGE and not
# OTHER; no result.
refused() {
    try "$1" "$2"
    if [ $status -eq 0 ]; then fail "accepted"
    elif [ $status -ge 128 ]; then fail "killed by a signal"
    elif [ -s "$dir/json" ]; then fail "printed a configuration"
    elif ! grep -qF "$3" "$dir/messages"; then fail "does not say: $3"
    elif [ -n "$4" ] && grep -qF "$4" "$dir/messages"; then fail "says: $4"
    else pass; fi
}

on='"vuart": "pl011"'
for word in y yes true '"y"' '"yes"' '"true"' "'y'" 1 '"1"'; do
    taken "pl011=$word" "pl011=$word\n" "$on"
done
for word in n no false '"n"' '"no"' '"false"' "'n'" 0 '"0"'; do
    absent "pl011=$word" "pl011=$word\n"
done
taken 'spaces and a comment' 'pl011  =  y  # a UART\n' "$on"
taken 'a statement behind it' 'pl011 = y; vcpus = 2\n' "$on"
taken 'no newline at the end' 'pl011 = y' "$on"
absent 'the last of two counts' 'pl011 = y\npl011 = n\n'
absent 'no pl011' ''

for word in maybe '"maybe"' '""' 2 -1 '"Y"' '"1 "' yy; do
    case $word in
    -1) message='config parsing error' ;;
    *) message='for "pl011": it must be y, n, yes, no, true, false, 1 or 0' ;;
    esac
    refused "pl011=$word" "pl011=$word\n" "$message"
done
refused 'pl011=Y' 'pl011=Y\n' ":4: config parsing error near \`Y'"
refused 'pl011=' 'pl011=\n' 'config parsing error'
refused 'pl011=y y' 'pl011=y y\n' 'config parsing error'
refused 'pl011=[1]' 'pl011=[1]\n' 'invalid value "[...]" for "pl011"'
refused 'pl011=[y]' 'pl011=[y]\n' 'config parsing error'
refused 'pl011+=y' 'pl011+=y\n' 'config parsing error'

both='"pl011" and "vuart" exclude each other'
refused 'pl011, then vuart' 'pl011=y\nvuart="sbsa_uart"\n' "$both"
refused 'vuart, then pl011' 'vuart="sbsa_uart"\npl011=1\n' "$both"
refused 'pl011=n against vuart="pl011"' 'pl011=n\nvuart="pl011"\n' "$both"
taken 'vuart="pl011", the same in libxl'"'s words" 'vuart="pl011"\n' "$on"
taken 'pl011=n with vuart' 'pl011=n\nvuart="sbsa_uart"\n' '"vuart": "sbsa_uart"'
absent 'vuart alone' 'vuart="sbsa_uart"\n'

# Words elsewhere are read as before.
refused 'a word for another key' 'on_crash=destroy\n' \
    ":4: config parsing error near \`destroy': syntax error, unexpected IDENT"
refused 'a word in a list' 'vif=[bridge]\n' \
    "config parsing error near \`bridge': syntax error, unexpected IDENT"
refused 'pl011=y after an error' 'a=b\npl011=y\n' \
    "near \`b': syntax error" "near \`y'"

# Channels are written as before.
agent='name=org.example.agent.0'
taken 'a channel on a socket' \
    "pl011=y\nchannel=[\"$agent,connection=socket,path=/run/agent\"]\n" \
    '"connection.socket"'
taken "a channel's path" \
    "channel=[\"$agent,connection=socket,path=/run/agent\"]\n" '"/run/agent"'
taken 'a channel on a pty' "channel=[\"$agent,connection=pty\"]\n" \
    '"connection.pty"'
refused 'a socket without a path' \
    "channel=[\"$agent,connection=socket\"]\n" 'requires path'
refused 'a channel to nowhere' "channel=[\"$agent\"]\n" \
    "unknown 'connection'"
refused 'a channel to something else' \
    "channel=[\"$agent,connection=pipe\"]\n" "unknown channel connection 'pipe'"

echo "$total cases, $failed failed"
[ $failed -eq 0 ]
