//! What is kept between two starts: the account with the authority, and the certificate with its key.
//!
//! A directory for this user alone (mode 0700). A file is replaced by another that is whole, so that a lost machine leaves the old one; key and
//! chain are one file, so that they always belong together.

use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use instant_acme::AccountCredentials;
use zeroize::Zeroizing;

use crate::limits::PEM_FILE_BYTES;

/// An open state directory.
#[derive(Debug)]
pub(super) struct State {
    directory: PathBuf,
}

/// Why the state directory cannot be used.
#[derive(Debug)]
pub struct StateError {
    path: PathBuf,
    error: io::Error,
}

impl fmt::Display for StateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.error)
    }
}

impl std::error::Error for StateError {}

/// The file with the certificate's key and chain.
pub(super) fn certificate_file(directory: &Path) -> PathBuf {
    directory.join("certificate.pem")
}

impl State {
    /// Opens the directory, or makes it. One that others may look into is refused: a key that was there may be known.
    pub fn open(directory: &Path) -> Result<Self, StateError> {
        let failed = |error| StateError { path: directory.to_owned(), error };
        match DirBuilder::new().mode(0o700).create(directory) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(failed(error)),
            _ => {}
        }
        let found = fs::metadata(directory).map_err(failed)?;
        if !found.is_dir() {
            return Err(failed(io::Error::other("it is not a directory")));
        }
        if found.mode() & 0o077 != 0 {
            let mode = format!("others may look into it; say chmod 700 {}", directory.display());
            return Err(failed(io::Error::other(mode)));
        }
        Ok(Self { directory: directory.to_owned() })
    }

    /// The account with the authority, if there is one.
    pub fn account(&self) -> Result<Option<AccountCredentials>, StateError> {
        let path = self.account_file();
        let mut text = Zeroizing::new(Vec::new());
        let read = File::open(&path).and_then(|file| file.take(PEM_FILE_BYTES).read_to_end(&mut text));
        match read {
            Ok(_) => serde_json::from_slice(&text).map(Some).map_err(|error| StateError {
                path,
                error: io::Error::other(format!("not an account: {error}")),
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(StateError { path, error }),
        }
    }

    /// Keeps the account.
    pub fn write_account(&self, account: &AccountCredentials) -> Result<(), StateError> {
        let path = self.account_file();
        let text = serde_json::to_vec(account)
            .map_err(|error| StateError { path: path.clone(), error: error.into() })?;
        replace(&path, &Zeroizing::new(text)).map_err(|error| StateError { path, error })
    }

    /// Keeps a certificate: its key and its chain, as PEM.
    pub fn write_certificate(&self, pem: &[u8]) -> Result<(), StateError> {
        let path = certificate_file(&self.directory);
        replace(&path, pem).map_err(|error| StateError { path, error })
    }

    fn account_file(&self) -> PathBuf {
        self.directory.join("account.json")
    }
}

/// Writes a file that takes the place of another once it is on the disk.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let new = path.with_extension("new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&new, path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn the_directory_is_for_this_user_alone_or_it_is_refused() {
        let parent = tempfile::tempdir().expect("a directory");
        let directory = parent.path().join("state");
        let state = State::open(&directory).expect("it is made");
        assert_eq!(fs::metadata(&directory).expect("there").mode() & 0o777, 0o700);
        state.write_certificate(b"-----").expect("written");
        let file = certificate_file(&directory);
        assert_eq!(fs::metadata(&file).expect("there").mode() & 0o777, 0o600);
        assert!(state.account().expect("readable").is_none());
        fs::write(directory.join("account.json"), "{}").expect("a file");
        assert!(state.account().is_err(), "an account that is none is not thrown away");
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o755)).expect("changed");
        let told = State::open(&directory).expect_err("refused").to_string();
        assert!(told.contains("chmod 700"), "{told}");
        assert!(State::open(&file).is_err(), "a file is no directory");
    }
}
