//! Blobs: down to memory or to a file, and up from either.

use std::{
    fmt, fs,
    io::{self, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use csign_oci::{Descriptor, Digest, Repository};
use futures_util::stream;
use http::{Method, StatusCode};
use sha2::{Digest as _, Sha256};
use tokio::io::AsyncReadExt as _;

use crate::{
    client::Client,
    error::{Error, Result},
    request::{Ask, Body, check_digest_header, location, refusal, transport},
};

/// How much of a file is read at once, in bytes.
const CHUNK: usize = 128 << 10;

/// Hears how many bytes of a blob were transferred so far. After a broken connection it starts again from 0.
#[derive(Clone, Default)]
pub struct Progress(Option<Arc<Listener>>);

type Listener = dyn Fn(&Digest, u64) + Send + Sync;

impl Progress {
    /// Nobody listens.
    pub fn none() -> Self {
        Self(None)
    }

    /// Calls `listener` with a blob's digest and the bytes transferred so far.
    pub fn new(listener: impl Fn(&Digest, u64) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(listener)))
    }

    fn report(&self, digest: &Digest, done: u64) {
        if let Some(listener) = &self.0 {
            listener(digest, done);
        }
    }
}

impl fmt::Debug for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Progress(…)" } else { "Progress(none)" })
    }
}

/// Where the bytes of a blob are.
#[derive(Clone, Debug)]
pub enum Content {
    /// In memory.
    Bytes(Bytes),
    /// In a file, which must not change meanwhile.
    File(PathBuf),
}

/// A blob on its way up; its body can be made anew for each try.
pub(crate) struct Upload {
    content: Content,
    descriptor: Descriptor,
    progress: Progress,
}

impl Upload {
    /// Length and stream.
    pub(crate) async fn body(&self) -> Result<(u64, reqwest::Body)> {
        let (digest, progress) = (self.descriptor.digest, self.progress.clone());
        match &self.content {
            Content::Bytes(bytes) => {
                progress.report(&digest, bytes.len() as u64);
                Ok((bytes.len() as u64, bytes.clone().into()))
            }
            Content::File(path) => {
                let file = tokio::fs::File::open(path).await.map_err(Error::io("reading", path))?;
                let length = file.metadata().await.map_err(Error::io("reading", path))?.len();
                let chunks = stream::try_unfold((file, 0), move |(mut file, mut done)| {
                    let progress = progress.clone();
                    async move {
                        let mut chunk = Vec::with_capacity(CHUNK);
                        if file.read_buf(&mut chunk).await? == 0 {
                            return Ok::<_, io::Error>(None);
                        }
                        done += chunk.len() as u64;
                        progress.report(&digest, done);
                        Ok(Some((Bytes::from(chunk), (file, done))))
                    }
                });
                Ok((length, reqwest::Body::wrap_stream(chunks)))
            }
        }
    }
}

impl Client {
    /// Reads a blob into memory. Size, then digest, are checked before a byte is returned.
    ///
    /// # Errors
    /// [`Error::TooLarge`] beyond [`crate::Limits::blob`]; a mismatch; everything that keeps it from being read.
    pub async fn blob(&self, repository: &Repository, descriptor: &Descriptor) -> Result<Vec<u8>> {
        let limit = self.inner.limits.blob;
        if descriptor.size > limit {
            let doing = format!("fetching blob {} of {repository}", descriptor.digest);
            return Err(Error::TooLarge { doing, limit, unit: "bytes" });
        }
        let open = || Ok(Vec::new());
        self.download(repository, descriptor, &Progress::none(), Path::new("memory"), open).await
    }

    /// Reads a blob into the file `path`, which appears only after size and digest were checked.
    ///
    /// # Errors
    /// A mismatch; everything that keeps it from being read or written.
    pub async fn blob_to_file(
        &self,
        repository: &Repository,
        descriptor: &Descriptor,
        path: &Path,
        progress: &Progress,
    ) -> Result<()> {
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let open = || tempfile::NamedTempFile::new_in(directory).map_err(Error::io("creating a file in", directory));
        let file = self.download(repository, descriptor, progress, path, open).await?;
        file.as_file().sync_all().map_err(Error::io("writing", path))?;
        file.persist(path).map(drop).map_err(|e| Error::io("writing", path)(e.error))
    }

    /// Streams a blob into a writer that `open` makes, anew for each try. `path` is for messages.
    pub(crate) async fn download<W: Write>(
        &self,
        repository: &Repository,
        descriptor: &Descriptor,
        progress: &Progress,
        path: &Path,
        open: impl Fn() -> Result<W>,
    ) -> Result<W> {
        let doing = &format!("fetching blob {} of {repository}", descriptor.digest);
        self.inner
            .retry
            .run(async || {
                let mut ask = Ask::get(doing, repository, &format!("blobs/{}", descriptor.digest))?;
                ask.blob = true;
                let mut response = self.send(&ask).await?;
                if response.status() != StatusCode::OK {
                    return Err(refusal(doing, response).await);
                }
                let size = |got| Error::SizeMismatch { doing: doing.clone(), want: descriptor.size, got };
                let url = response.url().clone();
                let (mut writer, mut hasher, mut done) = (open()?, Sha256::new(), 0);
                while let Some(chunk) = response.chunk().await.map_err(|source| transport(doing, &url, source))? {
                    done += chunk.len() as u64;
                    if done > descriptor.size {
                        return Err(size(done));
                    }
                    hasher.update(&chunk);
                    writer.write_all(&chunk).map_err(Error::io("writing", path))?;
                    progress.report(&descriptor.digest, done);
                }
                if done != descriptor.size {
                    return Err(size(done));
                }
                let got = Digest::from_bytes(hasher.finalize().into());
                if got != descriptor.digest {
                    return Err(Error::DigestMismatch { doing: doing.clone(), want: descriptor.digest, got });
                }
                writer.flush().map_err(Error::io("writing", path))?;
                Ok(writer)
            })
            .await
    }

    /// Whether the repository has the blob.
    ///
    /// # Errors
    /// Any answer but yes and no.
    pub async fn has_blob(&self, repository: &Repository, digest: &Digest) -> Result<bool> {
        let doing = &format!("looking up blob {digest} of {repository}");
        self.inner
            .retry
            .run(async || {
                let mut ask = Ask::get(doing, repository, &format!("blobs/{digest}"))?.method(Method::HEAD);
                ask.blob = true;
                let response = self.send(&ask).await?;
                match response.status() {
                    StatusCode::OK => check_digest_header(doing, &response, digest).map(|()| true),
                    StatusCode::NOT_FOUND => Ok(false),
                    _ => Err(refusal(doing, response).await),
                }
            })
            .await
    }

    /// Stores a blob unless the repository has it. Says whether bytes were sent.
    ///
    /// # Errors
    /// Content that is not what `descriptor` says, before anything is sent; a refusal.
    pub async fn push_blob(
        &self,
        repository: &Repository,
        descriptor: &Descriptor,
        content: Content,
        progress: &Progress,
    ) -> Result<bool> {
        if self.has_blob(repository, &descriptor.digest).await? {
            progress.report(&descriptor.digest, descriptor.size);
            return Ok(false);
        }
        self.upload_blob(repository, descriptor, content, progress).await?;
        Ok(true)
    }

    /// Stores a blob that the repository does not have.
    pub(crate) async fn upload_blob(
        &self,
        repository: &Repository,
        descriptor: &Descriptor,
        content: Content,
        progress: &Progress,
    ) -> Result<()> {
        let doing = &format!("pushing blob {} to {repository}", descriptor.digest);
        check_content(doing, descriptor, &content)?;
        let upload = Upload { content, descriptor: descriptor.clone(), progress: progress.clone() };
        self.inner.retry.run(async || self.push_blob_once(doing, repository, &upload).await).await
    }

    async fn push_blob_once(&self, doing: &str, repository: &Repository, upload: &Upload) -> Result<()> {
        let start = Ask::get(doing, repository, "blobs/uploads/")?.method(Method::POST);
        let response = self.send(&start).await?;
        if response.status() != StatusCode::ACCEPTED {
            return Err(refusal(doing, response).await);
        }
        let mut url = location(doing, &start.url, response.headers())?;
        let digest = upload.descriptor.digest;
        url.query_pairs_mut().append_pair("digest", &digest.to_string());
        let mut put = Ask::get(doing, repository, "")?.method(Method::PUT);
        (put.url, put.body, put.blob) = (url, Body::Upload(upload), true);
        let response = self.send(&put).await?;
        if response.status() != StatusCode::CREATED {
            return Err(refusal(doing, response).await);
        }
        check_digest_header(doing, &response, &digest)
    }
}

/// A damaged file is found before it is sent.
fn check_content(doing: &str, descriptor: &Descriptor, content: &Content) -> Result<()> {
    let (size, got) = match content {
        Content::Bytes(bytes) => (bytes.len() as u64, Digest::of(bytes)),
        Content::File(path) => {
            let mut hasher = HashWriter(Sha256::new());
            let mut file = fs::File::open(path).map_err(Error::io("reading", path))?;
            let size = io::copy(&mut file, &mut hasher).map_err(Error::io("reading", path))?;
            (size, Digest::from_bytes(hasher.0.finalize().into()))
        }
    };
    if size != descriptor.size {
        return Err(Error::SizeMismatch { doing: doing.to_owned(), want: descriptor.size, got: size });
    }
    if got != descriptor.digest {
        return Err(Error::DigestMismatch { doing: doing.to_owned(), want: descriptor.digest, got });
    }
    Ok(())
}

struct HashWriter(Sha256);

impl Write for HashWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
