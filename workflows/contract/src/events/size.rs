//! How large an event may be: receivers are promised that it fits.

/// The whole body of an event stays under it, whatever a provider said.
pub const MOST_BYTES: usize = 20_000;
/// The thin body of an event stays under it.
pub const MOST_THIN_BYTES: usize = 1_000;

/// The beginning of a text that has at most `chars` characters and `bytes` bytes in JSON, where a
/// quote or a control character takes 2 or 6 bytes.
pub(super) fn beginning(text: &str, chars: usize, bytes: usize) -> &str {
    let mut left = bytes;
    for (count, (at, character)) in text.char_indices().enumerate() {
        let length = length_in_json(character);
        if count == chars || length > left {
            return &text[..at];
        }
        left -= length;
    }
    text
}

fn length_in_json(character: char) -> usize {
    match character {
        '"' | '\\' | '\n' | '\r' | '\t' | '\u{8}' | '\u{c}' => 2,
        '\0'..='\u{1f}' => 6,
        other => other.len_utf8(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_beginning_keeps_both_limits() {
        assert_eq!(beginning("abc", 3, 3), "abc");
        assert_eq!(beginning("abc", 2, 9), "ab");
        assert_eq!(beginning("äöü", 9, 5), "äö");
        assert_eq!(beginning("", 0, 0), "");
        for character in ['a', 'ä', '€', '😀', '"', '\\', '\n', '\u{1}', '\u{8}', '\u{c}', '\u{7f}']
        {
            let json = serde_json::to_string(&character).unwrap_or_default();
            assert_eq!(length_in_json(character) + 2, json.len(), "{json}");
        }
    }
}
