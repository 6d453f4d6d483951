//! The sentinel file on the host: kured's path is one of its container, in a folder that may be mounted elsewhere.

use super::source::Source;

/// Where the agents see the host's files.
pub(crate) const HOST_ROOT: &str = "/host";

/// The folder that the manifests mount.
const FOLDER: &str = "/var/run";

/// The sentinel file on the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SentinelFile {
    /// Its path on the host.
    pub(crate) path: String,
    /// Its folder, if the manifests of Bellwether do not mount that already.
    pub(crate) folder: Option<String>,
}

impl SentinelFile {
    /// The default of kured and of Bellwether.
    pub(crate) const DEFAULT: &'static str = "/var/run/reboot-required";

    /// The file that kured sees at this path; none if that is no absolute path of a file.
    pub(crate) fn at(path: &str, source: &Source) -> Option<Self> {
        // A later mount inside of another one hides it.
        let mount = source
            .mounts
            .iter()
            .filter_map(|(inside, outside)| Some((inside.len(), outside, path.strip_prefix(inside.as_str())?)))
            .filter(|(_, _, rest)| rest.is_empty() || rest.starts_with('/'))
            .max_by_key(|(length, _, _)| *length);
        let path = match mount {
            Some((_, outside, rest)) => format!("{}{rest}", outside.trim_end_matches('/')),
            None => path.to_owned(),
        };
        // Of these two names of one folder the manifests mount the second.
        let path = match path.strip_prefix("/run/") {
            Some(rest) => format!("{FOLDER}/{rest}"),
            None => path,
        };
        let (folder, name) = path.rsplit_once('/')?;
        if name.is_empty() || !path.starts_with('/') {
            return None;
        }
        let folder = (folder != FOLDER).then(|| if folder.is_empty() { "/" } else { folder }.to_owned());
        Some(Self { path, folder })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_looked_up_through_the_mounts() {
        let source = Source {
            mounts: vec![
                ("/sentinel".to_owned(), "/var/run/".to_owned()),
                ("/sentinel/deep".to_owned(), "/opt".to_owned()),
            ],
            ..Source::default()
        };
        let file = |path: &str| SentinelFile::at(path, &source).map(|file| (file.path, file.folder));
        let at = |path: &str, folder: Option<&str>| Some((path.to_owned(), folder.map(str::to_owned)));
        assert_eq!(file("/sentinel/reboot-required"), at(SentinelFile::DEFAULT, None));
        assert_eq!(file("/sentinel/deep/now"), at("/opt/now", Some("/opt")));
        assert_eq!(file("/sentinels/x"), at("/sentinels/x", Some("/sentinels")));
        assert_eq!(file("/run/reboot-needed"), at("/var/run/reboot-needed", None));
        assert_eq!(file("/file"), at("/file", Some("/")));
        assert_eq!((file("relative"), file("/var/run/")), (None, None));
    }
}
