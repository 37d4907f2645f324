//! Secrets at rest: what monitors and channels keep to themselves is sealed before it goes into the store.
//!
//! XChaCha20-Poly1305 under one key for the whole installation. What is sealed is bound to its place, so that a sealed
//! token moved to another channel does not open there. Losing the key loses the secrets, and nothing else.

use std::fmt;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use data_encoding::{BASE64, BASE64URL_NOPAD, HEXLOWER, HEXLOWER_PERMISSIVE};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use sha2::{Digest, Sha256};
use watchbell_core::{Slug, catalog};
use watchbell_notify::Channel;

use crate::config::spec::MonitorSpec;
use crate::random;

/// Where a key may be given instead of the file.
pub(crate) const VARIABLE: &str = "WATCHBELL_SECRET_KEY";
const FILE: &str = "secret.key";
const PREFIX: &str = "sealed:v1:";
const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 24;

/// The key, ready to use.
pub(crate) struct Seal {
    cipher: XChaCha20Poly1305,
    /// Names the key without telling it.
    id: String,
}

/// Why something cannot be sealed or opened. It prints as a sentence and never tells a secret.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SealError {
    #[error("{from} holds no key: a key is 32 bytes, written as 44 characters of base64 or 64 of hex")]
    NoKey { from: String },
    #[error("the key {path} cannot be read: {why}; it must be a file that the user Watchbell runs as may read")]
    Unreadable { path: PathBuf, why: std::io::Error },
    #[error("a key cannot be kept in {path}: {why}; make the folder writable, or give a key in WATCHBELL_SECRET_KEY")]
    Unwritable { path: PathBuf, why: std::io::Error },
    #[error(
        "the secrets of {place} were sealed with the key {theirs}, but the key here is {ours}; give the right one in \
         WATCHBELL_SECRET_KEY or as secret.key in the data folder (all nodes of one database need the same key), or \
         enter the secrets again"
    )]
    OtherKey { place: String, theirs: String, ours: String },
    #[error("a secret of {place} was changed in the database, or belongs elsewhere; enter it again")]
    Tampered { place: String },
    #[error("the settings of {place} in the database cannot be read: {why}")]
    Spec { place: String, why: serde_json::Error },
}

impl Seal {
    /// The key from `WATCHBELL_SECRET_KEY`, else from `secret.key` in the data folder, made at the first start.
    pub(crate) fn open(data: &Path) -> Result<Self, SealError> {
        match std::env::var(VARIABLE) {
            Ok(text) if !text.trim().is_empty() => Self::from_text(&text, VARIABLE),
            _ => Self::from_file(&data.join(FILE)),
        }
    }

    fn from_file(path: &Path) -> Result<Self, SealError> {
        let unreadable = |why| SealError::Unreadable { path: path.to_owned(), why };
        match std::fs::read_to_string(path) {
            Ok(text) => Self::from_text(&text, &path.display().to_string()),
            Err(why) if why.kind() == std::io::ErrorKind::NotFound => {
                let key = random::bytes::<KEY_BYTES>();
                make_file(path, &key).map_err(|why| SealError::Unwritable { path: path.to_owned(), why })?;
                // Another process may have been quicker: what is in the file counts.
                let text = std::fs::read_to_string(path).map_err(unreadable)?;
                Self::from_text(&text, &path.display().to_string())
            }
            Err(why) => Err(unreadable(why)),
        }
    }

    fn from_text(text: &str, from: &str) -> Result<Self, SealError> {
        let text = text.trim();
        let url_safe = text.trim_end_matches('=');
        let key = [
            HEXLOWER_PERMISSIVE.decode(text.as_bytes()),
            BASE64.decode(text.as_bytes()),
            BASE64URL_NOPAD.decode(url_safe.as_bytes()),
        ]
        .into_iter()
        .flatten()
        .find(|key| key.len() == KEY_BYTES)
        .ok_or_else(|| SealError::NoKey { from: from.to_owned() })?;
        let digest = Sha256::new().chain_update("watchbell key id").chain_update(&key).finalize();
        let cipher = XChaCha20Poly1305::new_from_slice(&key).expect("the key has 32 bytes");
        Ok(Self { cipher, id: HEXLOWER.encode(&digest[..4]) })
    }

    /// `sealed:v1:<key id>:<base64 of nonce and sealed text>`. Sealing the same twice gives different texts.
    pub(crate) fn seal(&self, place: &str, plain: &str) -> String {
        let nonce = random::bytes::<NONCE_BYTES>();
        let payload = Payload { msg: plain.as_bytes(), aad: place.as_bytes() };
        let sealed =
            self.cipher.encrypt(&XNonce::from(nonce), payload).expect("a text in memory is not too long to seal");
        let mut bytes = nonce.to_vec();
        bytes.extend(sealed);
        format!("{PREFIX}{}:{}", self.id, BASE64URL_NOPAD.encode(&bytes))
    }

    /// What was sealed for `place`.
    pub(crate) fn unseal(&self, place: &str, sealed: &str) -> Result<String, SealError> {
        let tampered = || SealError::Tampered { place: place.to_owned() };
        let (id, text) = sealed.strip_prefix(PREFIX).and_then(|rest| rest.split_once(':')).ok_or_else(tampered)?;
        if id != self.id {
            let theirs = id.chars().take(16).filter(char::is_ascii_alphanumeric).collect();
            return Err(SealError::OtherKey { place: place.to_owned(), theirs, ours: self.id.clone() });
        }
        let bytes = BASE64URL_NOPAD.decode(text.as_bytes()).map_err(|_| tampered())?;
        let (nonce, text) = bytes.split_first_chunk::<NONCE_BYTES>().ok_or_else(tampered)?;
        let payload = Payload { msg: text, aad: place.as_bytes() };
        let plain = self.cipher.decrypt(&XNonce::from(*nonce), payload).map_err(|_| tampered())?;
        String::from_utf8(plain).map_err(|_| tampered())
    }

    /// Seals every secret of `value`, which `schema` describes, each bound to its own field.
    pub(crate) fn seal_spec(&self, schema: &Value, place: &str, value: &mut Value) {
        catalog::map_secrets(schema, value, &mut |field, plain| Some(self.seal(&format!("{place}/{field}"), plain)));
    }

    /// Opens every secret of `value`.
    pub(crate) fn open_spec(&self, schema: &Value, place: &str, value: &mut Value) -> Result<(), SealError> {
        let mut failed = Ok(());
        catalog::map_secrets(
            schema,
            value,
            &mut |field, sealed| match self.unseal(&format!("{place}/{field}"), sealed) {
                Ok(plain) => Some(plain),
                Err(why) => {
                    if failed.is_ok() {
                        failed = Err(why);
                    }
                    None
                }
            },
        );
        failed
    }

    /// A monitor as JSON for the store.
    pub(crate) fn close_monitor(&self, slug: &Slug, spec: &MonitorSpec) -> Result<String, SealError> {
        self.close(&schemas::MONITOR, &format!("monitor/{slug}"), spec)
    }

    pub(crate) fn open_monitor(&self, slug: &Slug, stored: &str) -> Result<MonitorSpec, SealError> {
        self.reopen(&schemas::MONITOR, &format!("monitor/{slug}"), stored)
    }

    /// A channel as JSON for the store.
    pub(crate) fn close_channel(&self, slug: &Slug, channel: &Channel) -> Result<String, SealError> {
        self.close(&schemas::CHANNEL, &format!("channel/{slug}"), channel)
    }

    pub(crate) fn open_channel(&self, slug: &Slug, stored: &str) -> Result<Channel, SealError> {
        self.reopen(&schemas::CHANNEL, &format!("channel/{slug}"), stored)
    }

    fn close(&self, schema: &Value, place: &str, spec: &impl Serialize) -> Result<String, SealError> {
        let mut value = serde_json::to_value(spec).map_err(|why| SealError::Spec { place: place.to_owned(), why })?;
        self.seal_spec(schema, place, &mut value);
        Ok(value.to_string())
    }

    fn reopen<T: DeserializeOwned>(&self, schema: &Value, place: &str, stored: &str) -> Result<T, SealError> {
        let unreadable = |why| SealError::Spec { place: place.to_owned(), why };
        let mut value = serde_json::from_str(stored).map_err(unreadable)?;
        self.open_spec(schema, place, &mut value)?;
        serde_json::from_value(value).map_err(unreadable)
    }
}

impl fmt::Debug for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seal").field("key_id", &self.id).finish_non_exhaustive()
    }
}

/// What is stored, described; made once, since every change of a monitor asks for it.
pub(crate) mod schemas {
    use std::sync::LazyLock;

    use serde_json::Value;
    use watchbell_core::catalog;

    pub(crate) static MONITOR: LazyLock<Value> = LazyLock::new(catalog::schema_of::<super::MonitorSpec>);
    pub(crate) static CHANNEL: LazyLock<Value> = LazyLock::new(catalog::schema_of::<super::Channel>);
}

/// Writes a new key for the owner's eyes only. A file that is there already stays as it is.
fn make_file(path: &Path, key: &[u8]) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    // Whole or not at all: a half-written key would lock out its owner.
    let fresh = path.with_extension(format!("{}.new", std::process::id()));
    let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
    writeln!(file, "{}", BASE64.encode(key))?;
    file.sync_all()?;
    let linked = std::fs::hard_link(&fresh, path);
    let removed = std::fs::remove_file(&fresh);
    match linked {
        Err(why) if why.kind() == std::io::ErrorKind::AlreadyExists => {}
        outcome => outcome?,
    }
    removed
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use serde_json::json;

    use super::*;

    fn seal(byte: u8) -> Seal {
        Seal::from_text(&HEXLOWER.encode(&[byte; 32]), "test").unwrap()
    }

    #[test]
    fn what_is_sealed_opens_in_its_place_only() {
        let ours = seal(1);
        let sealed = ours.seal("channel/ops", "hunter2");
        assert!(sealed.starts_with(&format!("sealed:v1:{}:", ours.id)) && !sealed.contains("hunter2"));
        assert_eq!(ours.unseal("channel/ops", &sealed).unwrap(), "hunter2");
        assert_ne!(sealed, ours.seal("channel/ops", "hunter2"));
        assert!(matches!(ours.unseal("channel/other", &sealed), Err(SealError::Tampered { .. })));
        for end in 0..sealed.len() {
            assert!(ours.unseal("channel/ops", &sealed[..end]).is_err(), "{end}");
        }
        for text in ["", "hunter2", "sealed:v1:", "sealed:v1:zz", "sealed:v1::"] {
            assert!(ours.unseal("channel/ops", text).is_err(), "{text}");
        }
    }

    #[test]
    fn another_key_is_told_by_name_and_not_by_value() {
        let sealed = seal(1).seal("monitor/shop", "hunter2");
        let said = seal(2).unseal("monitor/shop", &sealed).unwrap_err().to_string();
        assert!(
            said.starts_with(&format!(
                "the secrets of monitor/shop were sealed with the key {}, but the key here is {};",
                seal(1).id,
                seal(2).id
            )),
            "{said}"
        );
        assert_eq!(format!("{:?}", seal(1)), format!("Seal {{ key_id: {:?}, .. }}", seal(1).id));
    }

    #[test]
    fn a_key_is_read_in_every_usual_spelling() {
        let bytes: [u8; 32] = std::array::from_fn(|n| u8::try_from(250 - n).unwrap());
        let hex = HEXLOWER.encode(&bytes);
        let spellings = [
            hex.clone(),
            hex.to_uppercase(),
            BASE64.encode(&bytes),
            BASE64URL_NOPAD.encode(&bytes),
            format!(" {hex}\n"),
        ];
        let ids: Vec<String> = spellings.iter().map(|text| Seal::from_text(text, "test").unwrap().id).collect();
        assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
        for wrong in
            ["", "short", &hex[..62], &format!("{hex}00"), "not a key at all, but as long as one would be, really"]
        {
            assert_eq!(
                Seal::from_text(wrong, VARIABLE).unwrap_err().to_string(),
                "WATCHBELL_SECRET_KEY holds no key: a key is 32 bytes, written as 44 characters of base64 or 64 of hex"
            );
        }
    }

    #[test]
    fn the_first_start_makes_a_key_that_only_its_owner_reads() {
        let data = tempfile::tempdir().unwrap();
        let path = data.path().join("new").join(FILE);
        let first = Seal::from_file(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "nothing else is left behind");
        let again = Seal::from_file(&path).unwrap();
        assert_eq!(again.unseal("x", &first.seal("x", "hunter2")).unwrap(), "hunter2");
        assert!(matches!(Seal::from_file(data.path()), Err(SealError::Unreadable { .. })));
        std::fs::write(&path, "half a k").unwrap();
        assert!(Seal::from_file(&path).unwrap_err().to_string().contains("secret.key holds no key"));
    }

    #[test]
    fn stored_monitors_and_channels_hold_no_plain_secret() {
        let ours = seal(1);
        let slug: Slug = "ops".parse().unwrap();
        let channel: Channel =
            serde_json::from_value(json!({ "telegram": { "token": "123:hunter2", "chat_id": "-1" } })).unwrap();
        let stored = ours.close_channel(&slug, &channel).unwrap();
        assert!(!stored.contains("hunter2") && stored.contains("\"chat_id\":\"-1\""), "{stored}");
        assert_eq!(ours.open_channel(&slug, &stored).unwrap(), channel);

        let monitor: MonitorSpec = serde_json::from_value(json!({
            "heartbeat": { "interval": "1m", "push_token": "hunter2hunter2" }, "tags": ["prod"]
        }))
        .unwrap();
        let stored = ours.close_monitor(&slug, &monitor).unwrap();
        assert!(!stored.contains("hunter2"), "{stored}");
        assert_eq!(ours.open_monitor(&slug, &stored).unwrap(), monitor);

        let other = seal(2).open_monitor(&slug, &stored).unwrap_err();
        assert!(matches!(other, SealError::OtherKey { .. }), "{other}");
        assert!(
            ours.open_monitor(&slug, "{")
                .unwrap_err()
                .to_string()
                .starts_with("the settings of monitor/ops in the database cannot be read")
        );
    }

    #[test]
    fn every_kind_comes_back_as_it_was() {
        let slug: Slug = "x".parse().unwrap();
        for entry in Channel::ALL {
            let channel: Channel = serde_json::from_value((entry.example)()).unwrap();
            let ours = seal(3);
            assert_eq!(ours.open_channel(&slug, &ours.close_channel(&slug, &channel).unwrap()).unwrap(), channel);
        }
        for entry in watchbell_probe::Probe::ALL {
            let probe = serde_json::from_value((entry.example)()).unwrap();
            let monitor = MonitorSpec { probe: Some(probe), ..MonitorSpec::default() };
            let ours = seal(3);
            assert_eq!(ours.open_monitor(&slug, &ours.close_monitor(&slug, &monitor).unwrap()).unwrap(), monitor);
        }
    }
}
