//! The environment variables by which cosign is told of other services than sigstore's public ones.

use std::{env, path::PathBuf};

use csign_keyless::{PemRoots, TrustedRoot};

use crate::{context::read_text, failure::Failure};

const FULCIO: &str = "SIGSTORE_ROOT_FILE";
const REKOR: &str = "SIGSTORE_REKOR_PUBLIC_KEY";
const CT_LOG: &str = "SIGSTORE_CT_LOG_PUBLIC_KEY_FILE";
const TSA: &str = "SIGSTORE_TSA_CERTIFICATE_FILE";

/// The PEM files that they name; an empty variable counts as not set.
#[derive(Default)]
pub(crate) struct SigstoreEnvironment {
    fulcio: Option<PathBuf>,
    rekor: Option<PathBuf>,
    ct_log: Option<PathBuf>,
    tsa: Option<PathBuf>,
}

impl SigstoreEnvironment {
    /// Reads the process's environment.
    pub(crate) fn from_process() -> Self {
        let file = |name| env::var_os(name).filter(|path| !path.is_empty()).map(PathBuf::from);
        Self { fulcio: file(FULCIO), rekor: file(REKOR), ct_log: file(CT_LOG), tsa: file(TSA) }
    }

    /// The variables that are set.
    pub(crate) fn set(&self) -> Vec<&'static str> {
        let all = [(FULCIO, &self.fulcio), (REKOR, &self.rekor), (CT_LOG, &self.ct_log), (TSA, &self.tsa)];
        all.into_iter().filter(|(_, file)| file.is_some()).map(|(name, _)| name).collect()
    }

    /// The trusted root of their files, or none if no variable is set. Some of them without the others are no root: what
    /// they leave open would have to be the public services', and nobody asked to trust a mixture.
    pub(crate) fn trusted_root(&self) -> Result<Option<TrustedRoot>, Failure> {
        let set = self.set();
        if set.is_empty() {
            return Ok(None);
        }
        let (Some(fulcio), Some(rekor), Some(ct_log)) = (&self.fulcio, &self.rekor, &self.ct_log) else {
            let missing: Vec<&str> = [FULCIO, REKOR, CT_LOG].into_iter().filter(|name| !set.contains(name)).collect();
            return Err(Failure::usage(format_args!("{} set without {}", set.join(", "), missing.join(", ")))
                .hint("set them all, or none and give --trusted-root FILE"));
        };
        let tsa = self.tsa.as_ref().map(|path| read_text(path)).transpose()?;
        let (fulcio, rekor, ct_log) = (read_text(fulcio)?, read_text(rekor)?, read_text(ct_log)?);
        let files = PemRoots { fulcio: &fulcio, rekor: &rekor, ct_log: &ct_log, tsa: tsa.as_deref() };
        Ok(Some(TrustedRoot::from_pem(&files)?))
    }
}
