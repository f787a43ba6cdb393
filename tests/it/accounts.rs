//! Whose account fetches a recording: an organization's own, or the installation's for one without
//! credentials. Else one tenant could name another's call and be given its audio.

use postcall::dev::fakes::Filter;
use serde_json::json;

use crate::harness::{
    Options, World,
    calls::{fresh_id, report_with, step},
};

/// The installation's secret, for organizations without their own.
const INSTALLATION: &str = "the-installations-secret";

impl World {
    /// A report whose recording no link leads to.
    async fn post_without_links(&self, secret: &str) -> String {
        let id = fresh_id();
        let nowhere = "http://127.0.0.1:1/x.wav";
        let fields = json!({
            "artifact": { "recordingUrl": nowhere, "transcript": "Hi." },
            "recordingUrl": null,
            "stereoRecordingUrl": null,
        });
        let url = format!("{}/vapi/{}", self.api_url, self.demo.organization_id);
        let request = self.http.post(url).header("x-vapi-secret", secret);
        let answer = request.body(report_with(&id, &fields)).send().await.expect("an answer");
        assert_eq!(answer.status(), 200);
        id
    }

    /// Whether Vapi's API was asked for the audio of a call.
    fn api_was_asked_for(&self, call: &str) -> bool {
        let effects = self.fakes.effects().list(&Filter::default());
        effects.iter().any(|effect| {
            serde_json::to_string(effect)
                .is_ok_and(|text| text.contains(&format!("/call/{call}/mono-recording")))
        })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_installations_account_is_for_organizations_without_credentials() {
    let fallback = [("VAPI_WEBHOOK_SECRET", INSTALLATION.to_owned())];
    let world = World::with(Options { environment: fallback.to_vec(), ..Options::default() }).await;
    world.without_options().await;
    let own = world.demo.vapi_secret.clone();
    let id = world.post_without_links(&own).await;
    let call = world.closed(&id).await;
    assert_eq!(step(&call, "recording")["status"], "completed", "with its own key");
    assert!(world.api_was_asked_for(&id));

    let dropped = world.cli(&["credentials", "drop", "vapi", "api-key"]).await;
    assert_eq!(dropped.2, 0, "{dropped:?}");
    let id = world.post_without_links(&own).await;
    let call = world.closed(&id).await;
    assert_eq!(step(&call, "recording")["status"], "failed");
    assert!(!world.api_was_asked_for(&id), "its own secret, and the installation's key");

    let deleted = world.cli(&["credentials", "delete", "vapi", "--yes"]).await;
    assert_eq!(deleted.2, 0, "{deleted:?}");
    let id = world.post_without_links(INSTALLATION).await;
    let call = world.closed(&id).await;
    assert_eq!(step(&call, "recording")["status"], "completed");
    assert!(world.api_was_asked_for(&id));
}
