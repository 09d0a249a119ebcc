"""Whether a folder lies on a network file system, where SQLite's write-ahead log is not safe.

The log's index is memory that all processes share, which only processes of one computer can; over a
network two computers would write past each other. Known on Linux only: elsewhere nothing is found.

Source: sqlite.org/wal.html ("WAL does not work over a network filesystem"); proc(5), mountinfo.
"""

import re
from pathlib import Path, PurePosixPath

MOUNTS = Path("/proc/self/mountinfo")
_NETWORK = {
    "nfs", "nfs3", "nfs4", "cifs", "smb2", "smb3", "smbfs", "ncpfs", "afs", "coda", "davfs",
    "ceph", "glusterfs", "lustre", "beegfs", "gpfs", "ocfs2", "gfs2",
}  # fmt: skip
# File systems of programs may lead anywhere; these serve the disk below them. Roots of containers
# (overlay, 9p, virtiofs) are no network.
_LOCAL_FUSE = {
    "fuseblk", "fuse.fuse-overlayfs", "fuse.overlayfs", "fuse.ntfs-3g", "fuse.exfat", "fuse.zfs",
    "fuse.mergerfs", "fuse.bindfs", "fuse.unionfs", "fuse.gocryptfs", "fuse.encfs", "fuse.cryfs",
    "fuse.lxcfs", "fuse.snapfuse",
}  # fmt: skip
_OCTAL = re.compile(r"\\([0-7]{3})")


def network_file_system(path: Path) -> str | None:
    """The name of the network file system that a path lies on, such as "nfs4"; None if on none."""
    try:
        mounts = MOUNTS.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return None
    kind = _kind_at(path.resolve(), mounts)
    if kind is None or kind in _LOCAL_FUSE:
        return None
    return kind if kind in _NETWORK or kind.split(".")[0] == "fuse" else None


def _kind_at(path: Path, mounts: str) -> str | None:
    """The type of the deepest mount above a path; of several on one folder the last one counts."""
    deepest, kind = -1, None
    for line in mounts.splitlines():
        place, _, device = line.partition(" - ")
        fields, described = place.split(" "), device.split(" ")
        if len(fields) < 5 or not described[0]:
            continue
        folder = PurePosixPath(_OCTAL.sub(lambda code: chr(int(code[1], 8)), fields[4]))
        if path.is_relative_to(folder) and len(folder.parts) >= deepest:
            deepest, kind = len(folder.parts), described[0]
    return kind
