//! The depot on a folder and on S3: the same suite on both.

mod artifacts;
mod folder;
mod lab;
mod models;
#[path = "../../../../tests/support/note.rs"]
mod note;
mod primitives;
mod s3;
#[path = "../../../../tests/support/skip.rs"]
mod skip;

/// Makes a test of each function for each kind of store.
macro_rules! on_every_store {
    ($($name:ident),* $(,)?) => {
        mod on_a_folder {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    super::$name(&crate::lab::Lab::folder().await).await;
                }
            )*
        }
        mod on_s3 {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    super::$name(&crate::lab::Lab::s3().await).await;
                }
            )*
        }
    };
}
pub(crate) use on_every_store;
