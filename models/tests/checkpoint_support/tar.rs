//! Tar archives for tests.

/// A ustar archive.
pub(crate) fn tar(members: &[(impl AsRef<str>, impl AsRef<[u8]>)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, data) in members {
        let (name, data) = (name.as_ref(), data.as_ref());
        let mut header = [0u8; 512];
        header[..name.len()].copy_from_slice(name.as_bytes());
        header[124..135].copy_from_slice(format!("{:011o}", data.len()).as_bytes());
        header[148..156].fill(b' ');
        header[156] = b'0';
        header[257..263].copy_from_slice(b"ustar\0");
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..154].copy_from_slice(format!("{sum:06o}").as_bytes());
        header[154] = 0;
        out.extend(header);
        out.extend(data);
        out.resize(out.len().next_multiple_of(512), 0);
    }
    out.resize(out.len() + 1024, 0);
    out
}
