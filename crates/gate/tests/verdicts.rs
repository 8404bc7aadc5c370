//! Rules against made-up evidence: what passes, what fails, and what cannot be told.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use noctule_artifacts::Digest;
use noctule_gate::{
    Compared, Evidence, RuleOutcome, Scored, Slices, SplitFacts, TableIdentity, Training, Verdict, judge,
    markdown,
};
use noctule_spec::kinds::gate::Rule;
use proptest::prelude::*;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

const NDCG: &str = "ndcg@20";
const CHAMPION: &str = "home-feed@champion";

fn table(name: &str) -> TableIdentity {
    TableIdentity { artifact: Digest::of(name.as_bytes()), output: "train".parse().unwrap() }
}

fn time(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn scored(name: &str, values: Vec<f64>) -> Scored {
    Scored {
        digest: Some(Digest::of(name.as_bytes())),
        training: Training::Tables { read: BTreeSet::from([table(name)]), until: Some(time(900)) },
        per_user: BTreeMap::from([(NDCG.parse().unwrap(), values.into_iter().map(Some).collect())]),
        absolute: BTreeMap::from([("coverage@20".parse().unwrap(), 0.4)]),
        known: vec![],
    }
}

/// Other's values around 0.3, and a candidate's that differ by `change` of the mean and by noise.
fn values(users: usize, change: f64, noise: f64) -> (Vec<f64>, Vec<f64>) {
    let mut rng = ChaCha8Rng::seed_from_u64(11);
    let mut uniform = || f64::from(rng.next_u32()) / f64::from(u32::MAX);
    (0..users)
        .map(|_| {
            let other = 0.1 + 0.4 * uniform();
            (other + 0.3 * change + noise * (uniform() - 0.5), other)
        })
        .unzip()
}

fn evidence(users: usize, change: f64, noise: f64) -> Evidence {
    let (candidate, other) = values(users, change, noise);
    Evidence {
        users,
        split: SplitFacts { train: table("tonight"), test_start: Some(time(1000)) },
        candidate: scored("candidate", candidate),
        compared: BTreeMap::from([(
            CHAMPION.parse().unwrap(),
            Compared::Scored(Box::new(scored("champion", other))),
        )]),
        slices: Slices::default(),
    }
}

fn rule(json: serde_json::Value) -> Rule {
    serde_json::from_value(json).unwrap()
}

fn max_drop(drop: f64, confidence: Option<f64>) -> Rule {
    let mut json =
        serde_json::json!({"metric": NDCG, "bar": {"max-drop": {"against": CHAMPION, "drop": drop}}});
    if let Some(confidence) = confidence {
        json["confidence"] = confidence.into();
    }
    rule(json)
}

fn min(metric: &str, min: f64) -> Rule {
    rule(serde_json::json!({"metric": metric, "bar": {"min": min}}))
}

fn one(evidence: &Evidence, rule: Rule) -> (Verdict, RuleOutcome, String) {
    let report = judge(evidence, &[rule], 5);
    (report.verdict, report.rules[0].outcome, report.rules[0].reason.clone())
}

#[test]
fn bounds_decide_between_the_three_verdicts() {
    let allowed = || max_drop(0.01, Some(0.95));
    let (verdict, _, reason) = one(&evidence(2000, 0.0, 0.05), allowed());
    assert_eq!(verdict, Verdict::Pass, "{reason}");
    let (verdict, _, reason) = one(&evidence(2000, -0.05, 0.05), allowed());
    assert_eq!(verdict, Verdict::Fail, "{reason}");
    assert!(reason.contains("at most -"), "{reason}");
    let (verdict, _, reason) = one(&evidence(500, -0.01, 0.4), allowed());
    assert_eq!(verdict, Verdict::Inconclusive, "{reason}");
    assert!(reason.contains("500 users resolve a margin of"), "{reason}");
}

#[test]
fn without_confidence_the_point_estimate_decides_and_the_reason_says_so() {
    let (verdict, _, reason) = one(&evidence(50, -0.5, 0.4), max_drop(0.9, None));
    assert_eq!(verdict, Verdict::Pass);
    assert!(reason.contains("by the point estimate alone"), "{reason}");
    // 0.99 - 1 is a little under -0.01 in binary, and is no drop of more than 1 %.
    let mut exact = evidence(10, 0.0, 0.0);
    exact.candidate = scored("candidate", vec![0.99; 10]);
    exact.compared = BTreeMap::from([(
        CHAMPION.parse().unwrap(),
        Compared::Scored(Box::new(scored("champion", vec![1.0; 10]))),
    )]);
    assert_eq!(one(&exact, max_drop(0.01, None)).0, Verdict::Pass);
}

#[test]
fn an_equal_model_passes_with_any_allowed_drop() {
    let mut equal = evidence(400, 0.0, 0.1);
    equal.candidate = scored("candidate", values(400, 0.0, 0.1).1);
    assert_eq!(one(&equal, max_drop(0.0, Some(0.95))).0, Verdict::Pass);
    let gain =
        rule(serde_json::json!({"metric": NDCG, "bar": {"min-gain": {"against": CHAMPION, "gain": 0.1}},
        "confidence": 0.95}));
    assert_eq!(one(&equal, gain).0, Verdict::Fail);
}

#[test]
fn absolute_bars_hold_both_ways() {
    let night = evidence(2000, 0.0, 0.05);
    for (bar, value, outcome) in [
        ("min", 0.2, RuleOutcome::Pass),
        ("min", 0.4, RuleOutcome::Fail),
        ("max", 0.4, RuleOutcome::Pass),
        ("max", 0.2, RuleOutcome::Fail),
        ("max", 0.3, RuleOutcome::Inconclusive),
        ("min", 0.3, RuleOutcome::Inconclusive),
    ] {
        let sure = rule(serde_json::json!({"metric": NDCG, "bar": {bar: value}, "confidence": 0.95}));
        let (_, found, reason) = one(&night, sure);
        assert_eq!(found, outcome, "{bar} {value}: {reason}");
    }
    assert_eq!(one(&night, min("coverage@20", 0.3)).0, Verdict::Pass);
    assert_eq!(one(&night, min("coverage@20", 0.5)).0, Verdict::Fail);
}

#[test]
fn any_fail_is_fail_and_then_any_inconclusive_is_inconclusive() {
    let night = evidence(2000, 0.0, 0.05);
    let pass = min(NDCG, 0.1);
    let fail = min(NDCG, 0.9);
    let unknown = min("recall@20", 0.1);
    let verdict =
        |rules: &[&Rule]| judge(&night, &rules.iter().map(|r| (*r).clone()).collect::<Vec<_>>(), 1).verdict;
    assert_eq!(verdict(&[&pass]), Verdict::Pass);
    assert_eq!(verdict(&[&pass, &unknown]), Verdict::Inconclusive);
    assert_eq!(verdict(&[&unknown, &fail, &pass]), Verdict::Fail);
}

#[test]
fn a_gate_that_evaluated_no_rule_is_never_a_pass() {
    let mut first_night = evidence(2000, 0.0, 0.05);
    first_night.compared.insert(CHAMPION.parse().unwrap(), Compared::Absent);
    let report = judge(&first_night, &[max_drop(0.01, Some(0.95))], 1);
    assert_eq!((report.verdict, report.rules[0].outcome), (Verdict::Inconclusive, RuleOutcome::Skipped));
    assert!(report.decided.contains("no rule was evaluated (1 rule skipped)"), "{}", report.decided);
    assert_eq!(judge(&first_night, &[], 1).verdict, Verdict::Inconclusive);
    let with_absolute = judge(&first_night, &[max_drop(0.01, Some(0.95)), min(NDCG, 0.1)], 1);
    assert_eq!(with_absolute.verdict, Verdict::Pass);
    assert!(with_absolute.decided.contains("(1 rule skipped)"), "{}", with_absolute.decided);
}

/// Whatever is missing or broken, the rule is inconclusive and names it.
#[test]
fn nothing_unknown_is_a_pass() {
    type Break = fn(&mut Evidence);
    let broken: [(&str, Break); 10] = [
        ("for 1 users ndcg@20 has a value of only one of", |e| column(&mut e.candidate)[7] = None),
        ("has no ndcg@20 of the candidate", |e| e.candidate.per_user.clear()),
        ("has no ndcg@20 of home-feed@champion", |e| champion(e).per_user.clear()),
        ("is no finite number for 1 of 2000 users", |e| column(&mut e.candidate)[7] = Some(f64::NAN)),
        ("is no finite number for 1 of 2000 users", |e| column(champion(e))[7] = Some(f64::INFINITY)),
        ("has 1999 values for 2000 users", |e| {
            column(&mut e.candidate).pop();
        }),
        ("the test set has no users", |e| {
            e.users = 0;
            column(&mut e.candidate).clear();
            column(champion(e)).clear();
        }),
        ("is zero, and there is no ratio to zero", |e| column(champion(e)).fill(Some(0.0))),
        ("did not score home-feed@champion", |e| e.compared.clear()),
        ("differ on only 3 of 2000 users", |e| {
            let mut nearly = column(champion(e)).clone();
            nearly[..3].fill(Some(0.9));
            *column(&mut e.candidate) = nearly;
        }),
    ];
    for (words, break_it) in broken {
        let mut night = evidence(2000, 0.5, 0.05);
        break_it(&mut night);
        let (verdict, outcome, reason) = one(&night, max_drop(0.5, Some(0.95)));
        assert_eq!((verdict, outcome), (Verdict::Inconclusive, RuleOutcome::Inconclusive), "{reason}");
        assert!(reason.contains(words), "{reason}");
    }
}

fn champion(evidence: &mut Evidence) -> &mut Scored {
    match evidence.compared.get_mut(&CHAMPION.parse().unwrap()) {
        Some(Compared::Scored(scored)) => scored,
        _ => panic!("the champion was scored"),
    }
}

fn column(scored: &mut Scored) -> &mut Vec<Option<f64>> {
    scored.per_user.get_mut(&NDCG.parse().unwrap()).unwrap()
}

#[test]
fn a_model_that_may_have_seen_the_test_rows_is_not_comparable() {
    let late = Training::Tables { read: BTreeSet::new(), until: Some(time(1001)) };
    let mut night = evidence(2000, 0.5, 0.05);
    champion(&mut night).training = late.clone();
    let (verdict, _, reason) = one(&night, max_drop(0.01, Some(0.95)));
    assert_eq!(verdict, Verdict::Inconclusive);
    assert!(reason.contains("not comparable: of home-feed@champion"), "{reason}");

    let mut refitted = evidence(2000, 0.5, 0.05);
    refitted.candidate.training = late;
    let (verdict, _, reason) = one(&refitted, min(NDCG, 0.1));
    assert_eq!(verdict, Verdict::Inconclusive);
    assert!(reason.contains("not comparable: of the candidate"), "{reason}");

    let mut random = evidence(2000, 0.5, 0.05);
    random.split.test_start = None;
    random.candidate.training =
        Training::Tables { read: BTreeSet::from([random.split.train.clone()]), until: None };
    let (verdict, _, reason) = one(&random, max_drop(0.01, Some(0.95)));
    assert_eq!(verdict, Verdict::Inconclusive);
    assert!(reason.contains("the split is not by time"), "{reason}");
}

#[test]
fn confidence_below_the_floor_of_users_lacks_support() {
    let (verdict, _, reason) = one(&evidence(399, 0.5, 0.05), max_drop(0.01, Some(0.95)));
    assert_eq!(verdict, Verdict::Inconclusive);
    assert!(reason.contains("too little support: 399 users are too few"), "{reason}");
    assert_eq!(one(&evidence(400, 0.5, 0.05), max_drop(0.01, Some(0.95))).0, Verdict::Pass);
}

#[test]
fn slices_are_judged_by_themselves_and_need_support() {
    let mut night = evidence(2000, 0.0, 0.05);
    for user in 0..600 {
        let value = &mut column(&mut night.candidate)[user];
        *value = value.map(|value| value * 0.5);
    }
    let countries = (0..2000).map(|u| {
        Some(
            if u < 600 {
                "de"
            } else if u < 1900 {
                "fr"
            } else {
                "at"
            }
            .to_owned(),
        )
    });
    night.slices =
        Slices { min_users: 200, columns: BTreeMap::from([("country".to_owned(), countries.collect())]) };
    let sliced = |value: &str, confidence: bool| {
        let mut rule = max_drop(0.01, confidence.then_some(0.95));
        rule.slice = Some(noctule_spec::kinds::gate::Slice { column: "country".into(), value: value.into() });
        rule
    };
    assert_eq!(one(&night, sliced("de", true)).0, Verdict::Fail);
    assert_eq!(one(&night, sliced("fr", true)).0, Verdict::Pass);
    for confidence in [true, false] {
        let (verdict, _, reason) = one(&night, sliced("at", confidence));
        assert_eq!(verdict, Verdict::Inconclusive);
        assert!(reason.contains("the slice has 100 users where 200 are asked for"), "{reason}");
    }
    let (verdict, _, reason) = one(&night, sliced("se", true));
    assert_eq!(verdict, Verdict::Inconclusive);
    assert!(reason.contains("no test user has se as country"), "{reason}");
    let mut other_column = sliced("de", true);
    other_column.slice.as_mut().unwrap().column = "age".into();
    assert!(one(&night, other_column).2.contains("no slices by age"));
}

#[test]
fn users_for_whom_a_metric_has_no_value_are_left_out() {
    let mut night = evidence(2000, 0.0, 0.05);
    column(&mut night.candidate)[..500].fill(None);
    column(champion(&mut night))[..500].fill(None);
    let report = judge(&night, &[max_drop(0.01, Some(0.95))], 1);
    assert_eq!(report.rules[0].figures.as_ref().unwrap().users, 1500);
    column(&mut night.candidate).fill(None);
    column(champion(&mut night)).fill(None);
    let (verdict, _, reason) = one(&night, max_drop(0.01, Some(0.95)));
    assert_eq!(verdict, Verdict::Inconclusive);
    assert!(reason.contains("no users to compare on"), "{reason}");
}

#[test]
fn figures_on_users_known_to_both_stand_beside() {
    let mut night = evidence(2000, 0.0, 0.05);
    champion(&mut night).known = (0..2000).map(|user| user % 4 != 0).collect();
    let report = judge(&night, &[max_drop(0.01, Some(0.95))], 1);
    let figures = report.rules[0].figures.as_ref().unwrap();
    let known = figures.known_to_both.as_ref().unwrap();
    assert_eq!((figures.users, known.users), (2000, 1500));
    assert!(known.value.unwrap().abs() < 0.02);
}

#[test]
fn the_report_reads_well_and_round_trips() {
    let mut night = evidence(600, -0.004, 0.08);
    night.compared.insert("home-feed@reference".parse().unwrap(), Compared::Absent);
    let rules = [
        max_drop(0.01, Some(0.95)),
        rule(
            serde_json::json!({"metric": NDCG, "bar": {"max-drop": {"against": "home-feed@reference", "drop": 0.02}},
            "confidence": 0.95}),
        ),
        min("coverage@20", 0.25),
    ];
    let report = judge(&night, &rules, 5);
    let json = report.to_json();
    assert_eq!(noctule_gate::Report::from_json(&json).unwrap(), report);
    insta::assert_snapshot!("report", markdown(&report));
    insta::assert_snapshot!("report-json", String::from_utf8(json).unwrap());
}

#[test]
fn hostile_names_do_not_break_the_page() {
    let mut night = evidence(10, 0.0, 0.05);
    night.slices = Slices {
        min_users: 1,
        columns: BTreeMap::from([("a|b".to_owned(), vec![Some("<b>\n# x".to_owned()); 10])]),
    };
    let mut hostile = min(NDCG, 0.1);
    hostile.slice = Some(noctule_spec::kinds::gate::Slice { column: "a|b".into(), value: "<b>\n# x".into() });
    let page = markdown(&judge(&night, &[hostile], 1));
    assert!(!page.contains("<b>") && !page.contains("\n# x") && page.contains("a\\|b"), "{page}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    /// The order of the users does not decide, and a better candidate never does worse.
    #[test]
    fn a_better_candidate_never_does_worse(change in -0.05..0.05f64, users in 400usize..900) {
        let rank = |outcome| match outcome {
            RuleOutcome::Fail => 0,
            RuleOutcome::Inconclusive | RuleOutcome::Skipped => 1,
            RuleOutcome::Pass => 2,
        };
        let worse = one(&evidence(users, change - 0.02, 0.1), max_drop(0.01, Some(0.9)));
        let better = one(&evidence(users, change, 0.1), max_drop(0.01, Some(0.9)));
        prop_assert!(rank(better.1) >= rank(worse.1), "{} / {}", better.2, worse.2);
    }

    #[test]
    fn no_values_make_it_panic(
        x in prop::collection::vec(prop::num::f64::ANY, 0..30),
        y in prop::collection::vec(prop::num::f64::ANY, 0..30),
    ) {
        let mut night = evidence(x.len().min(y.len()), 0.0, 0.1);
        *column(&mut night.candidate) = x.into_iter().map(Some).collect();
        *column(champion(&mut night)) = y.into_iter().map(Some).collect();
        let report = judge(&night, &[max_drop(0.01, Some(0.95)), min(NDCG, 0.1)], 3);
        markdown(&report);
        prop_assert!(noctule_gate::Report::from_json(&report.to_json()).is_ok());
    }
}
