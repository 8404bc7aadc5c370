//! Object stores by their addresses: which there are, how they are opened, and what they need to let anybody in.

use std::sync::Arc;
use std::time::Duration;

use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::memory::InMemory;
use object_store::{ObjectStore, RetryConfig};
use url::Url;

use crate::error::chain;

type Opened = object_store::Result<Arc<dyn ObjectStore>>;

/// Whether a variable of the environment may hold credentials or settings of an object store.
pub fn is_setting(name: &str) -> bool {
    ["AWS_", "GOOGLE_", "AZURE_"].iter().any(|prefix| name.starts_with(prefix))
        || name == "SERVICE_ACCOUNT"
        || name == "IDENTITY_ENDPOINT"
}

/// Opens the object store behind `s3://`, `gs://`, `az://` and their companions; `None` for another scheme. Nothing is
/// asked of it yet. A failing request is repeated for as long as `patience`.
pub fn open(url: &Url, environment: &[(String, String)], patience: Duration) -> Option<Opened> {
    fn shared<S: ObjectStore>(store: object_store::Result<S>) -> Opened {
        store.map(|store| Arc::new(store) as Arc<dyn ObjectStore>)
    }
    let retry = RetryConfig { max_retries: 10, retry_timeout: patience, ..RetryConfig::default() };
    let settings = |prefix: &'static str| {
        let named = environment.iter().filter(move |(name, _)| name.starts_with(prefix));
        named.map(|(name, value)| (name.to_ascii_lowercase(), value.as_str()))
    };
    let variable = |wanted: &str| environment.iter().find(|(name, _)| name == wanted).map(|(_, v)| v);
    Some(match url.scheme() {
        "memory" => shared(Ok(InMemory::new())),
        "s3" | "s3a" => {
            let mut builder = AmazonS3Builder::new().with_url(url.as_str()).with_retry(retry);
            for (name, value) in settings("AWS_") {
                if let Ok(key) = name.parse() {
                    builder = builder.with_config(key, value);
                }
            }
            shared(builder.build())
        }
        "gs" => {
            let mut builder = GoogleCloudStorageBuilder::new().with_url(url.as_str()).with_retry(retry);
            if let Some(path) = variable("SERVICE_ACCOUNT") {
                builder = builder.with_service_account_path(path);
            }
            for (name, value) in settings("GOOGLE_") {
                if let Ok(key) = name.parse() {
                    builder = builder.with_config(key, value);
                }
            }
            shared(builder.build())
        }
        "az" | "azure" | "adl" | "abfs" | "abfss" => {
            let mut builder = MicrosoftAzureBuilder::new().with_url(url.as_str()).with_retry(retry);
            if let Some(endpoint) = variable("IDENTITY_ENDPOINT") {
                builder = builder.with_msi_endpoint(endpoint.clone());
            }
            for (name, value) in settings("AZURE_") {
                if let Ok(key) = name.parse() {
                    builder = builder.with_config(key, value);
                }
            }
            shared(builder.build())
        }
        _ => return None,
    })
}

/// Whether a store could not be asked for want of credentials: none are in the environment, and the service that gives
/// them to the machines of a cloud does not answer here, or the account is not named at all.
///
/// The libraries have no kind of error for it; only the request that failed tells, by its path on those services.
pub fn lacks_credentials(error: &object_store::Error) -> bool {
    const SIGNS: [&str; 5] = [
        "/latest/api/token",
        "/latest/meta-data/",
        "/computeMetadata/",
        "/metadata/identity/",
        "Account must be specified",
    ];
    let text = chain(error);
    SIGNS.iter().any(|sign| text.contains(sign))
}

/// What to set for the store of a scheme, after "set ".
pub fn credentials_of(scheme: &str) -> &'static str {
    match scheme {
        "gs" => {
            "GOOGLE_SERVICE_ACCOUNT to the path of a key file, or GOOGLE_SKIP_SIGNATURE=true for a public bucket"
        }
        "az" | "azure" | "adl" | "abfs" | "abfss" => {
            "AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY, or AZURE_SKIP_SIGNATURE=true beside the \
             account's name for a public container"
        }
        _ => {
            "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_REGION, or AWS_SKIP_SIGNATURE=true for a public bucket"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scheme_is_opened_or_says_what_it_lacks() {
        let set = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
            pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
        };
        let azure = set(&[("AZURE_STORAGE_ACCOUNT_NAME", "a"), ("AZURE_STORAGE_ACCOUNT_KEY", "a2V5")]);
        for (address, environment) in [
            ("s3://bucket/x", set(&[("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "b")])),
            ("s3a://bucket/x", set(&[("AWS_SKIP_SIGNATURE", "true")])),
            ("gs://bucket/x", set(&[("GOOGLE_SKIP_SIGNATURE", "true")])),
            ("az://container/x", azure.clone()),
            ("abfss://container@account.dfs.core.windows.net/x", azure),
        ] {
            let opened = open(&Url::parse(address).unwrap(), &environment, Duration::ZERO).unwrap();
            assert!(opened.is_ok(), "{address}: {opened:?}");
        }
        let error = open(&Url::parse("az://container/x").unwrap(), &[], Duration::ZERO).unwrap().unwrap_err();
        assert!(lacks_credentials(&error), "{error}");
        assert!(open(&Url::parse("ftp://x/y").unwrap(), &[], Duration::ZERO).is_none());
    }
}
