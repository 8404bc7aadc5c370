//! Whether a file system's locks can be trusted.

use std::path::Path;

/// The name of the network file system that `path` lies on; `None` for a local one, or one that is not known.
///
/// SQLite's write-ahead log needs memory that all its processes share, which a network file system does not have, and
/// its locks, which many of them only pretend to have.
#[cfg(target_os = "linux")]
pub(crate) fn network_file_system(path: &Path) -> std::io::Result<Option<String>> {
    let stat = rustix::fs::statfs(path)?;
    // The kernel's numbers are 32 bits wide, whatever the width of the field.
    let magic = (stat.f_type as u64 & 0xffff_ffff) as u32;
    if magic == FUSE {
        return Ok(fuse_type(path)?.filter(|kind| is_remote_fuse(kind)));
    }
    Ok(NETWORK.iter().find(|(number, _)| *number == magic).map(|(_, name)| (*name).to_owned()))
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn network_file_system(_path: &Path) -> std::io::Result<Option<String>> {
    Ok(None)
}

/// From linux/magic.h and the file systems' own headers.
#[cfg(target_os = "linux")]
const NETWORK: &[(u32, &str)] = &[
    (0x0000_6969, "NFS"),
    (0x0000_517b, "SMB"),
    (0xfe53_4d42, "SMB"),
    (0xff53_4d42, "CIFS"),
    (0x0102_1997, "9P"),
    (0x00c3_6400, "Ceph"),
    (0x0bd0_0bd0, "Lustre"),
    (0x5346_414f, "AFS"),
    (0x7375_7245, "Coda"),
    (0x4750_4653, "GPFS"),
    (0x1980_0120, "BeeGFS"),
    (0x7461_636f, "OCFS2"),
    (0x0116_1970, "GFS2"),
];

#[cfg(target_os = "linux")]
const FUSE: u32 = 0x6573_5546;

/// One number stands for all of FUSE, so the mount table has to say which it is, such as `fuse.sshfs`.
#[cfg(target_os = "linux")]
fn fuse_type(path: &Path) -> std::io::Result<Option<String>> {
    let path = path.canonicalize()?;
    let mounts = std::fs::read_to_string("/proc/self/mountinfo")?;
    Ok(type_of_mount(&mounts, &path))
}

/// The file system type of the deepest mount above `path`, by the lines of proc(5) `mountinfo`.
#[cfg(target_os = "linux")]
fn type_of_mount(mounts: &str, path: &Path) -> Option<String> {
    mounts
        .lines()
        .filter_map(|line| {
            let (before, after) = line.split_once(" - ")?;
            let point = before.split(' ').nth(4)?.replace("\\040", " ");
            path.starts_with(&point).then(|| (point.len(), after.split(' ').next().unwrap_or("").to_owned()))
        })
        // Of two mounts on one point the later one covers the earlier.
        .max_by_key(|(depth, _)| *depth)
        .map(|(_, kind)| kind)
}

#[cfg(target_os = "linux")]
fn is_remote_fuse(kind: &str) -> bool {
    const REMOTE: &[&str] = &[
        "sshfs",
        "s3fs",
        "gcsfuse",
        "rclone",
        "goofys",
        "mountpoint-s3",
        "glusterfs",
        "juicefs",
        "blobfuse",
        "blobfuse2",
        "cephfs",
        "ceph-fuse",
        "davfs",
        "davfs2",
        "curlftpfs",
        "seaweedfs",
        "alluxio-fuse",
    ];
    kind.strip_prefix("fuse.").is_some_and(|name| {
        let name = name.to_ascii_lowercase();
        REMOTE.iter().any(|remote| name == *remote)
    })
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_local_folder_is_local() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(network_file_system(folder.path()).unwrap(), None);
        assert!(network_file_system(&folder.path().join("missing")).is_err());
    }

    #[test]
    fn the_mount_table_tells_kinds_of_fuse_apart() {
        let mounts = "22 1 0:5 / / rw shared:1 - ext4 /dev/vda rw\n\
                      30 22 0:40 / /home/ada\\040b/far rw - fuse.sshfs ada@host: rw\n\
                      31 22 0:41 / /home/ada\\040b rw - fuse.fuse-overlayfs none rw\n";
        let kind = |path: &str| type_of_mount(mounts, Path::new(path)).unwrap();
        assert!(is_remote_fuse(&kind("/home/ada b/far/.noctule")));
        assert!(!is_remote_fuse(&kind("/home/ada b/.noctule")));
        assert_eq!(kind("/tmp"), "ext4");
    }
}
