//! A filter that hides secret values in a stream of bytes, however the stream is cut into chunks.
//!
//! It knows a value in these forms: as it is; each line of one that has several; base64 (both alphabets, with or
//! without padding, also inside a longer encoded text); URL-encoded; and escaped as in a JSON string. Other
//! transformations, such as encryption or a value printed letter by letter, pass.

/// What stands in the place of a secret.
pub const HIDDEN: &[u8] = b"***";

/// Encoded forms shorter than this occur by chance too often, and say too little, to be looked for.
const SHORTEST_ENCODED: usize = 5;
/// A line of a value of several lines is looked for by itself from this length on.
const SHORTEST_LINE: usize = 8;

/// The forms of all secrets to be hidden.
#[derive(Clone, Default)]
pub struct Secrets {
    /// Without duplicates, in byte order.
    forms: Vec<Vec<u8>>,
}

/// Shows no values.
impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Secrets({} forms)", self.forms.len())
    }
}

impl Secrets {
    /// Takes the values to hide; an empty one hides nothing.
    pub fn new<V: AsRef<[u8]>>(values: impl IntoIterator<Item = V>) -> Self {
        let mut forms: Vec<Vec<u8>> = values.into_iter().flat_map(|value| forms_of(value.as_ref())).collect();
        forms.sort_unstable();
        forms.dedup();
        Self { forms }
    }

    pub fn is_empty(&self) -> bool {
        self.forms.is_empty()
    }

    /// A filter for one stream.
    pub fn filter(&self) -> Filter<'_> {
        Filter { secrets: self, held: Vec::new(), hidden_ahead: 0 }
    }

    /// Hides the values in a whole text.
    pub fn hide(&self, text: &str) -> String {
        let mut out = Vec::with_capacity(text.len());
        let mut filter = self.filter();
        filter.push(text.as_bytes(), &mut out);
        filter.finish(&mut out);
        String::from_utf8_lossy(&out).into_owned()
    }

    /// The forms that begin with this byte.
    fn beginning_with(&self, first: u8) -> &[Vec<u8>] {
        let from = self.forms.partition_point(|form| form[0] < first);
        let to = from + self.forms[from..].partition_point(|form| form[0] == first);
        &self.forms[from..to]
    }
}

/// The filter of one stream. Bytes that may be the beginning of a secret are held until it is known.
pub struct Filter<'a> {
    secrets: &'a Secrets,
    held: Vec<u8>,
    /// How many of the next bytes belong to a secret that has been recognised.
    hidden_ahead: usize,
}

impl Filter<'_> {
    /// Filters one chunk, appending to `out` what can be shown.
    pub fn push(&mut self, chunk: &[u8], out: &mut Vec<u8>) {
        self.held.extend_from_slice(chunk);
        self.advance(out, false);
    }

    /// The stream is at its end: what was held is decided.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        self.advance(out, true);
        self.hidden_ahead = 0;
    }

    /// Goes through the held bytes. Secrets that overlap are hidden as one, so that none leaves its tail behind.
    fn advance(&mut self, out: &mut Vec<u8>, is_end: bool) {
        let mut at = 0;
        while at < self.held.len() {
            let rest = &self.held[at..];
            let mut longest = 0;
            let mut is_open = false;
            for form in self.secrets.beginning_with(rest[0]) {
                if rest.starts_with(form) {
                    longest = longest.max(form.len());
                } else {
                    is_open |= form.starts_with(rest);
                }
            }
            if is_open && !is_end {
                break;
            }
            if longest > self.hidden_ahead {
                if self.hidden_ahead == 0 {
                    out.extend_from_slice(HIDDEN);
                }
                self.hidden_ahead = longest;
            }
            if self.hidden_ahead > 0 {
                self.hidden_ahead -= 1;
            } else {
                out.push(rest[0]);
            }
            at += 1;
        }
        self.held.drain(..at);
    }
}

fn forms_of(value: &[u8]) -> Vec<Vec<u8>> {
    let mut forms = Vec::new();
    // A value read from a file often ends in a line feed that is no part of it.
    let trimmed = value.trim_ascii();
    for plain in [value, trimmed] {
        if !plain.is_empty() {
            forms.push(plain.to_vec());
        }
    }
    if trimmed.is_empty() {
        return Vec::new();
    }
    let lines = trimmed.split(|b| *b == b'\n').map(|line| line.trim_ascii());
    forms.extend(lines.filter(|line| line.len() >= SHORTEST_LINE).map(<[u8]>::to_vec));

    let mut encoded = Vec::new();
    for alphabet in [STANDARD, URL_SAFE] {
        for offset in 0..3 {
            encoded.push(base64_core(trimmed, offset, alphabet));
        }
    }
    for digits in [b"0123456789ABCDEF", b"0123456789abcdef"] {
        for (keep_slash, space) in [(false, "%20"), (true, "%20"), (false, "+"), (true, "+")] {
            encoded.push(url_encoded(trimmed, digits, keep_slash, space));
        }
    }
    encoded.push(json_escaped(trimmed));
    forms.extend(encoded.into_iter().filter(|form| form.len() >= SHORTEST_ENCODED && form != trimmed));
    forms
}

const STANDARD: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const URL_SAFE: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// The base64 characters (RFC 4648) that depend on `value` alone when `offset` other bytes stand before it in a group
/// of three, and anything behind it.
fn base64_core(value: &[u8], offset: usize, alphabet: &[u8; 64]) -> Vec<u8> {
    let first_bit = offset * 8;
    let end_bit = first_bit + value.len() * 8;
    let bit = |at: usize| (value[(at - first_bit) / 8] >> (7 - at % 8)) & 1;
    (first_bit.div_ceil(6)..end_bit / 6)
        .map(|character| {
            let index = (0..6).fold(0, |sum, i| sum << 1 | bit(character * 6 + i));
            alphabet[usize::from(index)]
        })
        .collect()
}

fn url_encoded(value: &[u8], digits: &[u8; 16], keep_slash: bool, space: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for &byte in value {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(byte),
            b'/' if keep_slash => out.push(byte),
            b' ' => out.extend_from_slice(space.as_bytes()),
            _ => out.extend([b'%', digits[usize::from(byte >> 4)], digits[usize::from(byte & 15)]]),
        }
    }
    out
}

fn json_escaped(value: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(value);
    let quoted = serde_json::to_vec(&text).expect("a text is JSON");
    quoted[1..quoted.len() - 1].to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn in_chunks(secrets: &Secrets, input: &[u8], sizes: &[usize]) -> Vec<u8> {
        let (mut filter, mut out, mut at) = (secrets.filter(), Vec::new(), 0);
        for size in sizes.iter().cycle() {
            if at >= input.len() {
                break;
            }
            let to = (at + size).min(input.len());
            filter.push(&input[at..to], &mut out);
            at = to;
        }
        filter.finish(&mut out);
        out
    }

    #[test]
    fn every_form_is_hidden() {
        let secrets = Secrets::new(["p@ss/w0rd \"x\"\n"]);
        for (text, shown) in [
            ("token=p@ss/w0rd \"x\"!", "token=***!"),
            // `base64` of coreutils, of the value alone and behind one and two other bytes.
            ("cEBzcy93MHJkICJ4Ig==", "***g=="),
            ("YXBAc3MvdzByZCAieCI=", "YX***I="),
            ("YWJwQHNzL3cwcmQgIngi", "YWJ***"),
            ("https://h/?t=p%40ss%2Fw0rd%20%22x%22&u=1", "https://h/?t=***&u=1"),
            ("t=p%40ss/w0rd+%22x%22", "t=***"),
            (r#"{"token":"p@ss/w0rd \"x\""}"#, r#"{"token":"***"}"#),
            ("p@ss/w0rd", "p@ss/w0rd"),
        ] {
            assert_eq!(secrets.hide(text), shown);
        }
    }

    #[test]
    fn the_lines_of_a_key_are_hidden_one_by_one() {
        let secrets = Secrets::new(["-----BEGIN KEY-----\nMIIEvQIBADANBg\nkqhki\n-----END KEY-----\n"]);
        assert_eq!(secrets.hide("> MIIEvQIBADANBg <"), "> *** <");
    }

    #[test]
    fn overlapping_secrets_leave_no_tail() {
        let secrets = Secrets::new(["abc", "bcdef"]);
        assert_eq!(secrets.hide("xabcdefx abcx abcabc"), "x***x ***x ******");
    }

    #[test]
    fn nothing_is_hidden_by_empty_values_and_debug_shows_none() {
        let secrets = Secrets::new(["", " \n"]);
        assert_eq!(secrets.hide("a b \n"), "a b \n");
        assert!(!format!("{:?}", Secrets::new(["hunter2"])).contains("hunter2"));
    }

    proptest! {
        #[test]
        fn chunks_do_not_matter_and_nothing_leaks(
            values in prop::collection::vec("[ab%]{1,6}", 1..4),
            input in "[ab%c]{0,60}",
            sizes in prop::collection::vec(1usize..7, 1..5),
        ) {
            let secrets = Secrets::new(&values);
            let whole = in_chunks(&secrets, input.as_bytes(), &[1000]);
            prop_assert_eq!(&in_chunks(&secrets, input.as_bytes(), &sizes), &whole);
            let shown = String::from_utf8(whole).unwrap();
            for value in &values {
                prop_assert!(!shown.contains(value.as_str()), "{} in {}", value, shown);
            }
        }

        #[test]
        fn base64_inside_a_longer_text_is_hidden(before in 0usize..4, value in "[ -~]{6,12}", after in 0usize..4) {
            let text = [&b"ABCD"[..before], value.as_bytes(), &b"WXYZ"[..after]].concat();
            let encoded: Vec<u8> = {
                // The reference: pad with zero bits to whole characters.
                let mut padded = text.clone();
                padded.extend([0, 0]);
                base64_core(&padded, 0, STANDARD)[..(text.len() * 8).div_ceil(6)].to_vec()
            };
            prop_assume!(!value.starts_with(' ') && !value.ends_with(' '));
            let secrets = Secrets::new([&value]);
            let shown = secrets.hide(std::str::from_utf8(&encoded).unwrap());
            prop_assert!(shown.contains("***"), "{}", shown);
            prop_assert!(shown.len() <= 3 + (before + after + 2) * 2 + 2, "{}", shown);
        }
    }

    #[test]
    fn a_long_stream_passes_unchanged() {
        let secrets = Secrets::new(["needle-in-haystack"]);
        let input: Vec<u8> = (0..1_000_000u32).map(|i| (i % 251) as u8).collect();
        assert_eq!(in_chunks(&secrets, &input, &[4096, 1, 65_536]), input);
    }
}
