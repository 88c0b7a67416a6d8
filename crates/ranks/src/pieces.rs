//! Cuts messages into pieces that MPI can count, and puts them together again.
//!
//! MPI counts bytes in a C `int`. The first piece of a message begins with a header: a mark, the version of the
//! protocol, and the length of the whole. Pieces of one sender arrive in order. It may not know of MPI.

use tombola_cluster::link::message::PROTOCOL;
use tombola_words::error::{Error, Result};

const MARK: [u8; 4] = *b"tmbl";
const HEADER: usize = 16;
/// Largest piece: far below 2^31 bytes, large enough that a piece costs nothing beside its bytes.
pub const PIECE: usize = 64 << 20;

/// Up to this, a message is copied behind its header; a longer one is sent after it.
pub const SHORT: usize = 16 << 10;

/// A message with its header: one buffer, or two to be sent one after the other, each in pieces of at most [`PIECE`].
pub fn with_header(message: Vec<u8>) -> Vec<Vec<u8>> {
    let mut header = Vec::with_capacity(HEADER + SHORT.min(message.len()));
    header.extend(MARK);
    header.extend(PROTOCOL.to_le_bytes());
    header.extend((message.len() as u64).to_le_bytes());
    if message.len() > SHORT {
        return vec![header, message];
    }
    header.extend(message);
    vec![header]
}

/// Puts the pieces of one sender together.
#[derive(Debug, Default)]
pub struct Assembly {
    bytes: Vec<u8>,
    /// Bytes that are still to come; 0 between two messages.
    missing: usize,
}

impl Assembly {
    /// Takes the next piece; gives the message when it is whole.
    ///
    /// # Errors
    /// When the sender speaks another version of the protocol, or no such protocol at all.
    pub fn add(&mut self, piece: Vec<u8>) -> Result<Option<Vec<u8>>> {
        if self.missing > 0 {
            self.missing = self.missing.checked_sub(piece.len()).ok_or_else(|| broken("a piece is too long"))?;
            match self.bytes.is_empty() {
                true => self.bytes = piece,
                false => self.bytes.extend(piece),
            }
        } else {
            let length = whole(&piece)?;
            let missing = length.checked_sub(piece.len() - HEADER);
            self.missing = missing.ok_or_else(|| broken("a piece is too long"))?;
            self.bytes = piece;
            self.bytes.drain(..HEADER);
        }
        Ok((self.missing == 0).then(|| std::mem::take(&mut self.bytes)))
    }
}

/// Length of the message that a first piece begins.
fn whole(piece: &[u8]) -> Result<usize> {
    let (Some(mark), Some(version), Some(length)) = (piece.get(..4), piece.get(4..8), piece.get(8..HEADER)) else {
        return Err(broken("a header is cut off"));
    };
    if mark != MARK {
        return Err(broken("a header has no mark"));
    }
    let version = u32::from_le_bytes(version.try_into().unwrap_or_default());
    if version != PROTOCOL {
        return Err(Error::environment(format!("it speaks protocol {version}, this program speaks {PROTOCOL}"))
            .hint("start the same build of Tombola on every node"));
    }
    let length = u64::from_le_bytes(length.try_into().unwrap_or_default());
    usize::try_from(length).map_err(|_| broken("a message is longer than memory"))
}

fn broken(what: &str) -> Error {
    Error::environment(format!("a message was garbled: {what}"))
        .hint("start the same build of Tombola on every node; if it is, please report this")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn messages_arrive_whole_whatever_the_size_of_the_pieces(
            messages in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..200), 1..5),
            size in 16usize..100,
            apart in any::<bool>(),
        ) {
            let mut assembly = Assembly::default();
            for message in &messages {
                let whole = with_header(message.clone()).concat();
                // A long message comes behind its header.
                let (header, rest) = whole.split_at(if apart && !message.is_empty() { HEADER } else { 0 });
                let mut pieces = header.chunks(size).chain(rest.chunks(size)).peekable();
                while let Some(piece) = pieces.next() {
                    let arrived = assembly.add(piece.to_vec()).unwrap();
                    prop_assert_eq!(arrived.as_ref(), pieces.peek().is_none().then_some(message));
                }
            }
        }
    }

    #[test]
    fn a_long_message_is_not_copied() {
        let message = vec![7; SHORT + 1];
        let address = message.as_ptr();
        let parts = with_header(message);
        assert_eq!((parts.len(), parts[1].as_ptr()), (2, address));
        let mut assembly = Assembly::default();
        assert_eq!(assembly.add(parts[0].clone()).unwrap(), None);
        let arrived = assembly.add(parts.into_iter().nth(1).unwrap()).unwrap().unwrap();
        assert_eq!((arrived.as_ptr(), arrived.len()), (address, SHORT + 1));
    }

    #[test]
    fn another_version_is_refused_by_name() {
        let mut bytes = with_header(b"hello".to_vec()).concat();
        bytes[4] = 99;
        let error = Assembly::default().add(bytes).unwrap_err();
        assert!(
            error.message.contains("protocol 99") && error.hint.unwrap().contains("same build"),
            "{}",
            error.message
        );
    }

    #[test]
    fn garbage_is_refused() {
        for garbage in [&b"tm"[..], b"GET / HTTP/1.1\r\n\r\n", &with_header(Vec::new()).concat()[..15]] {
            assert!(Assembly::default().add(garbage.to_vec()).is_err());
        }
        let mut too_long = with_header(b"abc".to_vec()).concat();
        too_long.push(0);
        assert!(Assembly::default().add(too_long).is_err());
    }
}
