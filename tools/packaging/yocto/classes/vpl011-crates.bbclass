# SPDX-License-Identifier: MIT
# All crates of the clone's Cargo.lock, with their digests, for bitbake's fetcher.
python () {
    import tomllib

    lock = os.path.join(d.getVar('VPL011_SOURCE'), 'Cargo.lock')
    bb.parse.mark_dependency(d, lock)
    with open(lock, 'rb') as file:
        packages = tomllib.load(file)['package']
    for package in packages:
        # The clone's own crates have no source.
        if 'source' not in package:
            continue
        name, version = package['name'], package['version']
        d.appendVar('SRC_URI', ' crate://crates.io/%s/%s' % (name, version))
        d.setVarFlag('SRC_URI', '%s-%s.sha256sum' % (name, version), package['checksum'])
}
