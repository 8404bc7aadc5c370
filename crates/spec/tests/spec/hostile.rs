//! Files that no person writes: each is refused clearly, soon, and without a panic.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use noctule_artifacts::launch::Interval;
use noctule_spec::{Context, SourceText, Style, load};
use proptest::prelude::*;

const NIGHTLY: &str = include_str!("../valid/nightly.yaml");

fn context() -> Context {
    Context {
        params: BTreeMap::new(),
        interval: Interval {
            start: "2026-11-23T00:00:00Z".parse().unwrap(),
            end: "2026-11-24T00:00:00Z".parse().unwrap(),
        },
        run: None,
        now: "2026-11-24T02:15:00Z".parse().unwrap(),
        pools: None,
    }
}

/// What is said about a file, how it looks on a terminal, and how long both took.
fn refused(bytes: impl Into<Vec<u8>>) -> String {
    let source = SourceText::new("p.yaml", bytes);
    let begin = Instant::now();
    let found = load(&source, &context()).expect_err("it is refused");
    let shown = found.render(&source, Style::Ansi);
    let took = begin.elapsed();
    // A tenth of that on an idle machine; tests may share a busy one.
    assert!(took < Duration::from_secs(5), "{took:?}");
    assert!(shown.len() < 1 << 20, "{} bytes are shown", shown.len());
    found.render(&source, Style::Plain)
}

fn bomb() -> String {
    let mut text = String::from("noctule: 1\na0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..12 {
        let names = vec![format!("*a{}", level - 1); 10].join(", ");
        text.push_str(&format!("a{level}: &a{level} [{names}]\n"));
    }
    text
}

#[test]
fn the_size_is_looked_at_first() {
    let shown = refused(vec![b'x'; 50 << 20]);
    assert!(
        shown.contains("has 52428800 bytes, and a file of at most 1048576 bytes (1 MiB) is read"),
        "{shown}"
    );
}

#[test]
fn nesting_and_unfolding_are_bounded() {
    for text in [
        "[".repeat(20_000),
        "{a: ".repeat(20_000),
        "- ".repeat(20_000),
        "? ".repeat(20_000),
        (0..5_000).map(|level| format!("{}a:\n", " ".repeat(level.min(190)))).collect(),
        bomb(),
        "- x\n".repeat(30_000),
        "a: &a 1\n".repeat(300),
        format!("a: &a 1\n{}", "b: *a\n".repeat(2_000)),
    ] {
        let shown = refused(text.clone());
        assert!(shown.contains("too-complex") || shown.contains("duplicate-key"), "{shown}");
    }
}

#[test]
fn what_is_no_text_is_said_to_be_none() {
    let wide: Vec<u8> =
        [0xff, 0xfe].into_iter().chain("noctule: 1".encode_utf16().flat_map(u16::to_le_bytes)).collect();
    assert!(refused(wide).contains("it looks like UTF-16"));
    assert!(refused(b"noctule: 1\n\xff".to_vec()).contains("p.yaml:2:1"));
    assert!(refused(b"a: \0".to_vec()).contains("NUL"));
    assert!(refused(b"PAR1\x15\x04\x15\x10\x4c".to_vec()).contains("error"));
    assert!(refused("").contains("it is empty"));
    assert!(refused("\u{feff}").contains("it is empty"));
    assert!(refused("   \n\n\t\n").contains("error"));
}

#[test]
fn a_thousand_mistakes_are_said_in_bounds() {
    let many: String = (0..3_000).map(|index| format!("wrong{index}: 1\n")).collect();
    let shown = refused(many);
    assert!(shown.contains("and 2903 more"), "{}", &shown[shown.len() - 200..]);
    let steps: String = (0..2_000)
        .map(|index| {
            format!("  s{index}:\n    uses: filter\n    with: {{input: s{}}}\n", (index + 1) % 2_000)
        })
        .collect();
    let shown = refused(format!("noctule: 1\npipeline: p\nsteps:\n{steps}"));
    assert!(shown.contains("in a circle"), "{shown}");
}

#[test]
fn long_lines_and_texts_do_no_harm() {
    let long = "x".repeat(900_000);
    for text in [
        format!("noctule: 1\npipeline: {long}\nsteps: {{}}\n"),
        format!("noctule: 1\npipeline: p\n{long}: 1\n"),
        format!("noctule: 1\npipeline: p\nsteps: {{a: {{uses: {long}}}}}\n"),
        format!(
            "noctule: 1\npipeline: p\nsteps: {{a: {{uses: extract, with: {{source: a, where: \"{{{{ {long} }}}}\"}}}}}}\n"
        ),
    ] {
        let shown = refused(text);
        assert!(
            shown.lines().all(|line| line.chars().count() < 400),
            "{}",
            shown.lines().map(|line| line.len()).max().unwrap()
        );
    }
}

#[test]
fn templates_cannot_fill_the_memory() {
    let steps: String = (0..2_000)
        .map(|index| {
            format!("  s{index}: {{uses: shell, with: {{command: \"{}\"}}}}\n", "{{ params.p }}".repeat(20))
        })
        .collect();
    let text = format!("noctule: 1\npipeline: p\nparams: {{p: {}}}\nsteps:\n{steps}", "x".repeat(4_000));
    let shown = refused(text);
    assert!(shown.contains("templates give more than"), "{}", &shown[..2_000.min(shown.len())]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    /// Whatever is cut out of a pipeline, or put into it, there is an answer.
    #[test]
    fn any_change_of_a_pipeline_has_an_answer(
        at in 0..NIGHTLY.len(),
        length in 0..60usize,
        put in "[a-z{}\\[\\]:,&*!|>'\"%@`#\\-\n\t 0-9é🎉]{0,12}",
    ) {
        let start = (0..=at).rev().find(|index| NIGHTLY.is_char_boundary(*index)).unwrap();
        let end = (start + length..=NIGHTLY.len()).find(|index| NIGHTLY.is_char_boundary(*index)).unwrap_or(NIGHTLY.len());
        let text = format!("{}{put}{}", &NIGHTLY[..start], &NIGHTLY[end..]);
        let source = SourceText::new("p.yaml", text);
        if let Err(found) = load(&source, &context()) {
            let shown = found.render(&source, Style::Plain);
            prop_assert!(found.has_errors());
            prop_assert!(!shown.contains("[internal]"), "{}", shown);
        }
    }

    #[test]
    fn any_bytes_have_an_answer(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let source = SourceText::new("p.yaml", bytes);
        if let Err(found) = load(&source, &context()) {
            prop_assert!(!found.render(&source, Style::Ansi).is_empty());
        }
    }
}
