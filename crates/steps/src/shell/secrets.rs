//! The environment that a step asks for, with secrets resolved at the last moment.

use std::collections::BTreeMap;
use std::ffi::OsString;

use noctule_artifacts::launch::EnvValue;
use noctule_artifacts::redact::Secrets;

use super::ShellError;

/// The variable that holds a secret: `slack-token` is in `NOCTULE_SECRET_SLACK_TOKEN`.
pub fn variable(name: &str) -> String {
    let name: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect();
    format!("{PREFIX}{name}")
}

/// No command inherits variables of this beginning: it is given the secrets that its step names.
pub(super) const PREFIX: &str = "NOCTULE_SECRET_";

/// Values by variable, and the filter that hides the secret ones. `read` looks into this process's own environment.
pub(super) fn resolve(
    env: &BTreeMap<String, EnvValue>,
    read: impl Fn(&str) -> Option<OsString>,
) -> Result<(BTreeMap<String, OsString>, Secrets), ShellError> {
    let (mut values, mut hidden) = (BTreeMap::new(), Vec::new());
    for (name, value) in env {
        let value = match value {
            EnvValue::Text(text) => text.into(),
            EnvValue::Secret(secret) => {
                let value = secret_value(secret, &read)?;
                hidden.push(value.as_encoded_bytes().to_vec());
                value
            }
        };
        values.insert(name.clone(), value);
    }
    Ok((values, Secrets::new(hidden)))
}

fn secret_value(name: &str, read: &impl Fn(&str) -> Option<OsString>) -> Result<OsString, ShellError> {
    let variable = variable(name);
    if let Some(value) = read(&variable) {
        return Ok(value);
    }
    let Some(path) = read(&format!("{variable}_FILE")) else {
        return Err(ShellError::NoSecret { name: name.to_owned(), variable });
    };
    let text = std::fs::read_to_string(&path).map_err(|cause| ShellError::SecretFile {
        name: name.to_owned(),
        path: path.to_string_lossy().into_owned(),
        cause,
    })?;
    // Editors and `echo` end a file with a line break that is no part of the secret.
    Ok(text.trim_end_matches(['\n', '\r']).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_pass_and_secrets_are_read_and_hidden() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key");
        std::fs::write(&file, "from-a-file\n").unwrap();
        let env = BTreeMap::from([
            ("MODE".to_owned(), EnvValue::Text("fast".into())),
            ("TOKEN".to_owned(), EnvValue::Secret("slack-token".into())),
            ("KEY".to_owned(), EnvValue::Secret("key".into())),
        ]);
        let (values, secrets) = resolve(&env, |name| match name {
            "NOCTULE_SECRET_SLACK_TOKEN" => Some("hunter2-hunter2".into()),
            "NOCTULE_SECRET_KEY_FILE" => Some(file.clone().into()),
            _ => None,
        })
        .unwrap();
        assert_eq!(values["MODE"], "fast");
        assert_eq!(values["TOKEN"], "hunter2-hunter2");
        assert_eq!(values["KEY"], "from-a-file");
        assert_eq!(secrets.hide("fast hunter2-hunter2 from-a-file"), "fast *** ***");
    }

    #[test]
    fn a_missing_secret_is_named_with_its_variable() {
        let env = BTreeMap::from([("TOKEN".to_owned(), EnvValue::Secret("slack-token".into()))]);
        let error = resolve(&env, |_| None).unwrap_err();
        insta::assert_snapshot!(error, @"the secret `slack-token` is not there: set the environment variable NOCTULE_SECRET_SLACK_TOKEN, or name a file in NOCTULE_SECRET_SLACK_TOKEN_FILE");
    }
}
