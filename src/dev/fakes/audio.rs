//! Recordings: valid WAV files whose sound depends on the path, so that every call's differs.

use async_stream::stream;
use axum::{
    body::Body,
    http::{Method, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use super::{
    asked::Asked,
    effects::Kind,
    reply::{Content, Identity, Reply},
};

/// Samples a second, as telephone recordings have them.
const RATE: u32 = 8_000;
/// Bytes of the RIFF, `fmt ` and `data` headers.
const HEADER_BYTES: u64 = 44;
/// Two seconds of 16-bit mono.
const USUAL_BYTES: u64 = HEADER_BYTES + 2 * 2 * RATE as u64;
/// 1 GiB: five times the largest recording that the proof asks for.
const LARGEST_BYTES: u64 = 1024 * 1024 * 1024;
/// How much is made at a time.
const CHUNK_BYTES: u64 = 64 * 1024;

/// The identity of a request for a recording, if it is one: any `….wav`, and Vapi's
/// `GET /call/{id}/mono-recording`.
pub(super) fn identify(asked: &Asked) -> Option<Identity> {
    let fetched = asked.method == Method::GET || asked.method == Method::HEAD;
    let audio = asked.path.ends_with(".wav") || asked.path.ends_with("/mono-recording");
    (fetched && audio).then(|| Identity::new(Kind::Recording, [asked.path.as_str()]))
}

/// Answers it; `?bytes=N` sets the size of the file.
pub(super) fn reply(asked: &Asked) -> Reply {
    let bytes = asked.query("bytes").and_then(|text| text.parse().ok()).unwrap_or(USUAL_BYTES);
    Reply::done(200, Content::Audio(Wav::new(&asked.path, bytes)))
}

/// A WAV file that is made while it is sent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wav {
    seed: u64,
    bytes: u64,
}

impl Wav {
    /// The file for a path; `bytes` is kept between an empty file's 44 and 1 GiB.
    pub(super) fn new(path: &str, bytes: u64) -> Self {
        let digest = Sha256::digest(path.as_bytes());
        let seed = digest.iter().take(8).fold(0u64, |seed, byte| seed << 8 | u64::from(*byte));
        // Xorshift stands still at zero.
        Self { seed: seed.max(1), bytes: bytes.clamp(HEADER_BYTES, LARGEST_BYTES) }
    }

    /// The first bytes of the file, for answers that come slowly or never end.
    pub(super) fn beginning(self) -> Bytes {
        let mut bytes = self.header();
        Sound { state: self.seed }.append(&mut bytes, CHUNK_BYTES.min(self.bytes - HEADER_BYTES));
        bytes.into()
    }

    /// The whole file with its `Content-Length`, streamed.
    pub(super) fn into_response(self) -> Response {
        let body = Body::from_stream(stream! {
            let mut chunk = self.header();
            let mut left = self.bytes - HEADER_BYTES;
            let mut sound = Sound { state: self.seed };
            loop {
                let next = left.min(CHUNK_BYTES);
                sound.append(&mut chunk, next);
                yield Ok::<_, std::convert::Infallible>(Bytes::from(std::mem::take(&mut chunk)));
                left -= next;
                if left == 0 {
                    break;
                }
            }
        });
        let headers = [
            (header::CONTENT_TYPE, "audio/wav".to_owned()),
            (header::CONTENT_LENGTH, self.bytes.to_string()),
        ];
        (headers, body).into_response()
    }

    /// RIFF WAVE, PCM, one channel, 8 kHz, 16 bit.
    fn header(self) -> Vec<u8> {
        let data = u32::try_from(self.bytes - HEADER_BYTES).unwrap_or(u32::MAX - 36);
        let mut header = Vec::with_capacity(44 + CHUNK_BYTES as usize);
        header.extend_from_slice(b"RIFF");
        header.extend_from_slice(&(data + 36).to_le_bytes());
        header.extend_from_slice(b"WAVEfmt ");
        header.extend_from_slice(&16u32.to_le_bytes());
        header.extend_from_slice(&1u16.to_le_bytes());
        header.extend_from_slice(&1u16.to_le_bytes());
        header.extend_from_slice(&RATE.to_le_bytes());
        header.extend_from_slice(&(RATE * 2).to_le_bytes());
        header.extend_from_slice(&2u16.to_le_bytes());
        header.extend_from_slice(&16u16.to_le_bytes());
        header.extend_from_slice(b"data");
        header.extend_from_slice(&data.to_le_bytes());
        header
    }
}

/// Quiet noise out of a xorshift generator: four samples a step.
struct Sound {
    state: u64,
}

impl Sound {
    fn append(&mut self, bytes: &mut Vec<u8>, count: u64) {
        let end = bytes.len() + usize::try_from(count).unwrap_or(0);
        bytes.reserve(end - bytes.len());
        while bytes.len() < end {
            self.state ^= self.state << 13;
            self.state ^= self.state >> 7;
            self.state ^= self.state << 17;
            for sample in self.state.to_le_bytes().chunks_exact(2) {
                // A sixteenth of full scale.
                let loudness = i16::from_le_bytes([sample[0], sample[1]]) / 16;
                bytes.extend_from_slice(&loudness.to_le_bytes());
            }
        }
        bytes.truncate(end);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sound_depends_on_the_path_and_on_nothing_else() {
        let first = Wav::new("/vapi/a.wav", USUAL_BYTES).beginning();
        assert_eq!(first, Wav::new("/vapi/a.wav", USUAL_BYTES).beginning());
        assert_ne!(first, Wav::new("/vapi/b.wav", USUAL_BYTES).beginning());
        assert_eq!(first.len() as u64, USUAL_BYTES);
    }

    #[test]
    fn sizes_are_kept_in_bounds() {
        assert_eq!(Wav::new("/a.wav", 0).beginning().len(), 44);
        assert_eq!(Wav::new("/a.wav", 47).beginning().len(), 47);
        assert_eq!(Wav::new("/a.wav", u64::MAX).bytes, LARGEST_BYTES);
    }
}
