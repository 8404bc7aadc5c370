//! `serve`: what the configuration says of the server.

use core::net::SocketAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::diagnostic::{Code, Diagnostic};
use crate::tree::Node;
use crate::units::Span;

/// What `noctule serve` does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Serve {
    /// The folder of pipelines, relative to the folder of this file. Every `.yaml` and `.yml` file in it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub pipelines: Option<String>,
    /// The IP address and port of the API.
    #[serde(default = "loopback")]
    #[schemars(with = "String", extend("x-noctule" = "address"))]
    pub listen: SocketAddr,
    /// Who may use the API.
    #[serde(default)]
    pub access: Access,
    /// How often the folder of pipelines is looked at for changes.
    #[serde(default = "five_seconds")]
    #[schemars(extend("x-noctule-positive" = true))]
    pub reload: Span,
    /// How long what is not needed any more is kept.
    #[serde(default)]
    pub retention: Retention,
}

/// Who may use the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Access {
    /// Who bears a token, as far as its roles go.
    #[default]
    Tokens,
    /// Everybody on this machine; only where `listen` is a loopback address.
    Open,
}

/// How long what is not needed any more is kept. What a registered model or a live attempt needs is kept in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Retention {
    /// How long a run that has ended is listed, with its log. The last good run of each pipeline stays.
    #[serde(default = "ninety_days")]
    #[schemars(extend("x-noctule-positive" = true))]
    pub runs: Span,
    /// How long the files of attempts that left no artifact are kept, for people to look at.
    #[serde(default = "fourteen_days")]
    #[schemars(extend("x-noctule-positive" = true))]
    pub attempts: Span,
}

fn loopback() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 8642))
}

fn five_seconds() -> Span {
    Span::from_seconds(5)
}

fn ninety_days() -> Span {
    Span::from_seconds(90 * 24 * 3600)
}

fn fourteen_days() -> Span {
    Span::from_seconds(14 * 24 * 3600)
}

impl Default for Serve {
    fn default() -> Self {
        Self {
            pipelines: None,
            listen: loopback(),
            access: Access::default(),
            reload: five_seconds(),
            retention: Retention::default(),
        }
    }
}

impl Default for Retention {
    fn default() -> Self {
        Self { runs: ninety_days(), attempts: fourteen_days() }
    }
}

/// Without tokens everybody who can reach the API may do everything.
pub(crate) fn check_access(serve: &Serve, root: &Node, findings: &mut Vec<Diagnostic>) {
    let Serve { listen, access, .. } = serve;
    let (Access::Open, false) = (access, listen.ip().is_loopback()) else {
        return;
    };
    let place = |key: &str| root.at_path(&["serve", key]).map(|node| node.at.clone());
    let Some(at) = place("access") else {
        return;
    };
    let message = format!("`access: open` would let everybody in who can reach {listen}");
    let mut diagnostic = Diagnostic::error(Code::Conflict, message)
        .at(at, "")
        .help("write `access: tokens`, or listen on 127.0.0.1");
    if let Some(listen) = place("listen") {
        diagnostic = diagnostic.also(listen, "not a loopback address");
    }
    findings.push(diagnostic);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, load};
    use crate::diagnostic::Style;
    use crate::source::SourceText;

    fn read(text: &str) -> Result<Config, String> {
        let source = SourceText::new("local.yaml", text);
        load(&source).map(|loaded| loaded.config).map_err(|found| found.render(&source, Style::Plain))
    }

    #[test]
    fn the_server_has_defaults_and_takes_others() {
        let config = read("").unwrap();
        assert_eq!(
            (config.serve.listen.to_string().as_str(), config.serve.access),
            ("127.0.0.1:8642", Access::Tokens)
        );
        assert_eq!(config.serve.retention.runs, Span::from_seconds(90 * 86_400));
        assert_eq!((config.limits.attempts, config.pools.len()), (None, 0));
        let config = read(
            "pools: {gpu: 4, licence: 1}\nlimits: {attempts: 16}\nserve:\n  pipelines: ../dags\n  listen: \"[::1]:80\"\n  \
             access: open\n  reload: 1m\n  retention: {attempts: 1d}\n",
        )
        .unwrap();
        assert_eq!((config.pools["gpu"], config.pools["licence"], config.limits.attempts), (4, 1, Some(16)));
        let Serve { pipelines, listen, access, reload, retention } = config.serve;
        assert_eq!((pipelines.as_deref(), listen.port(), access), (Some("../dags"), 80, Access::Open));
        assert_eq!((reload.seconds(), retention.attempts.seconds()), (60, 86_400));
        assert_eq!(retention.runs, Retention::default().runs);
    }

    #[test]
    fn a_server_that_would_let_everybody_in_is_refused() {
        for (text, part) in [
            (
                "serve: {access: open, listen: \"0.0.0.0:8642\"}",
                "would let everybody in who can reach 0.0.0.0:8642",
            ),
            ("serve: {access: none}", "it may be one of `tokens`, `open`"),
            ("serve: {listen: \"localhost:8642\"}", "did you mean `127.0.0.1:8642`?"),
            ("serve: {listen: \":8642\"}", "write `0.0.0.0:8642` for all"),
            ("serve: {listen: 127.0.0.1}", "add a port"),
            ("serve: {listen: 8642}", "127.0.0.1:8642"),
            ("serve: {reload: 0s}", "must be more"),
            ("serve: {pipelines: \"\"}", "is empty text"),
            ("serve: {retention: {runs: 3 months}}", "`runs`"),
            ("pools: {gpu: 0}", "expected a number from 1"),
            ("pools: {GPU: 1}", "did you mean `gpu`?"),
            ("pools: [gpu]", "expected a mapping"),
            ("limits: {attempts: many}", "`attempts`"),
        ] {
            let shown = read(text).unwrap_err();
            assert!(shown.contains(part), "{part} in\n{shown}");
        }
        assert!(read("serve: {access: open, listen: \"127.0.0.9:0\"}").is_ok());
    }
}
