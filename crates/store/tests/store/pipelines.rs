use noctule_artifacts::PipelineName;

use crate::world::at;

on_both! {
    async fn the_last_good_version_of_a_pipeline_stays(world: World) {
        let store = &world.store;
        let nightly: PipelineName = "nightly".parse().unwrap();
        assert!(store.put_pipeline(&nightly, "nightly.yaml", b"one", at(1), None).await.unwrap());
        assert!(!store.put_pipeline(&nightly, "nightly.yaml", b"one", at(2), None).await.unwrap());
        store.pipeline_failed("nightly.yaml", Some(&nightly), "3:5: no", at(3), None).await.unwrap();
        store.pipeline_failed("nightly.yaml", Some(&nightly), "4:5: no", at(4), None).await.unwrap();
        store.pipeline_failed("broken.yaml", None, "1:1: what?", at(4), None).await.unwrap();

        let rows = world.another().await.pipelines().await.unwrap();
        assert_eq!(rows.len(), 2);
        let (good, broken) = (rows[0].good.as_ref().unwrap(), rows[0].broken.as_ref().unwrap());
        assert_eq!((good.text.as_slice(), good.loaded, good.file.as_str()), (&b"one"[..], at(1), "nightly.yaml"));
        assert_eq!(good.digest, noctule_artifacts::Digest::of(b"one"));
        assert_eq!((broken.error.as_str(), broken.since), ("4:5: no", at(3)), "since when it is broken");
        assert_eq!((&rows[1].good, rows[1].broken.as_ref().unwrap().file.as_str()), (&None, "broken.yaml"));

        assert!(store.put_pipeline(&nightly, "nightly.yaml", b"two", at(5), None).await.unwrap());
        store.forget_broken_file("broken.yaml", None).await.unwrap();
        let rows = store.pipelines().await.unwrap();
        assert_eq!((rows.len(), &rows[0].broken), (1, &None));
        assert_eq!(rows[0].good.as_ref().unwrap().loaded, at(5));
        store.remove_pipeline(&nightly, None).await.unwrap();
        assert!(store.pipelines().await.unwrap().is_empty());
    }

    async fn a_text_of_any_bytes_is_kept(world: World) {
        let text: Vec<u8> = (0..=255).collect();
        let name: PipelineName = "odd".parse().unwrap();
        world.store.put_pipeline(&name, "o d'd.yaml", &text, at(1), None).await.unwrap();
        assert_eq!(world.store.pipelines().await.unwrap()[0].good.as_ref().unwrap().text, text);
    }
}
