//! The form that each kind of target gets, and what the notifier refuses at its start.

use anyhow::Result;
use bellwether_proto::Phase;
use rig::authority::Authority;
use rig::hook::{Answer, Hook, Request};
use rig::mail::MailServer;
use rig::world;
use serde_json::json;

use super::{SECRET, Stage, counts, entered, no_secret};
use crate::fleet::DEADLINE;

#[tokio::test(flavor = "multi_thread")]
async fn each_kind_of_target_gets_its_form_also_by_the_urls_of_kured() -> Result<()> {
    let _turn = world::turn().await?;
    let stage = Stage::start().await?;
    let hook = Hook::start()?;
    hook.answer(Answer::status(202));
    let host = hook.url("").replace("http://", "");
    let mut targets = vec![];
    for (name, kind, file, content) in [
        ("discord", "discord", "urlFile", hook.url(&format!("/discord/{SECRET}"))),
        ("teams", "teams", "urlFile", hook.url(&format!("/teams/{SECRET}"))),
        (
            "mattermost",
            "mattermost",
            "urlFile",
            format!("mattermost://bot@{host}/{SECRET}?disabletls=yes"),
        ),
        (
            "kured",
            "webhook",
            "urlFile",
            format!("generic://{host}/kured/{SECRET}?disabletls=yes"),
        ),
        ("pagerduty", "pagerduty", "routingKeyFile", SECRET.to_owned()),
    ] {
        let path = stage.secret(name, &content)?;
        let mut fields = json!({ file: path });
        if kind == "pagerduty" {
            fields["apiUrl"] = hook.url("/v2/enqueue").into();
        }
        targets.push(json!({ "name": name, "perMinute": 600, kind: fields }));
    }
    let notifier = stage.notifier(&json!({ "cluster": "east", "targets": targets }))?;
    notifier.wait_ready().await?;
    stage.publish("n1", entered(Phase::Failed)).await?;
    stage.publish("n1", entered(Phase::Done)).await?;
    stage.all_events_are_settled().await?;
    let requests = hook.requests();
    let of = |path: &str| -> Vec<&Request> { requests.iter().filter(|it| it.path == path).collect() };
    let failed = "Failure: [east] n1: the reboot failed";
    let discord = of(&format!("/discord/{SECRET}"));
    let is_failure = |it: &&&Request| it.field("content").starts_with(failed);
    assert_eq!(discord.iter().filter(is_failure).count(), 1, "{requests:?}");
    let mattermost = of(&format!("/hooks/{SECRET}"));
    assert!(
        mattermost.iter().any(|it| it.field("text").starts_with(failed)),
        "{requests:?}"
    );
    let teams = of(&format!("/teams/{SECRET}"));
    assert!(
        teams
            .iter()
            .any(|it| it.body.contains(failed) && it.body.contains("AdaptiveCard"))
    );
    let kured = of(&format!("/kured/{SECRET}"));
    assert!(
        kured.iter().any(|it| it.field("kind") == "AttemptFailed"),
        "{requests:?}"
    );
    let incidents = of("/v2/enqueue");
    let actions: Vec<String> = incidents.iter().map(|it| it.field("event_action")).collect();
    assert_eq!(actions, ["trigger", "resolve"]);
    for incident in incidents {
        assert_eq!(incident.field("routing_key"), SECRET);
        assert_eq!(incident.field("dedup_key"), "bellwether/east/n1");
    }
    no_secret(&notifier.process)?;
    stage.finish()
}

#[tokio::test(flavor = "multi_thread")]
async fn mails_leave_after_starttls_and_a_login_and_a_refused_recipient_costs_one_message() -> Result<()> {
    let _turn = world::turn().await?;
    let stage = Stage::start().await?;
    let authority = Authority::new("mail")?;
    let certificate = stage.place.path().join("mail.crt");
    authority.certify(&certificate, &certificate.with_extension("key"))?;
    let mut server = MailServer::start(&certificate)?;
    let ca = stage.secret("mail-ca", authority.certificate())?;
    let password = stage.secret("mail-password", SECRET)?;
    let config = json!({
        "targets": [{ "name": "mail", "perMinute": 600, "style": "each", "caFile": ca, "email": {
            "server": "127.0.0.1", "port": server.port(), "from": "bellwether@example.com",
            "to": ["ops@example.com", "team@example.com"], "username": "rig", "passwordFile": password,
        } }],
        "routes": [{ "targets": ["mail"], "minSeverity": "critical" }],
    });
    let notifier = stage.notifier(&config)?;
    notifier.wait_ready().await?;
    let mails_of = |node: &str| {
        let subject = format!("Subject: Failure: {node}: the reboot failed");
        let mails = server.mails();
        mails.into_iter().filter(|it| it.contains(&subject)).collect::<Vec<_>>()
    };
    let counted = async |metric: &str| counts(&notifier, metric).await;
    // With a wrong password, which is renewed without a restart.
    stage.publish("n1", entered(Phase::Failed)).await?;
    counted(r#"tries_failed_total{target="mail",code="NotAuthorized"}"#).await?;
    rig::place::replace(&password, "rig\n")?;
    stage.all_events_are_settled().await?;
    let mails = mails_of("n1");
    // One for each recipient.
    let [mail, _] = mails.as_slice() else {
        panic!("{mails:?}");
    };
    for part in [
        "From: bellwether@example.com",
        "ops@example.com",
        "team@example.com",
        "Message-ID: <",
        "AttemptFailed",
    ] {
        assert!(mail.contains(part), "{part}: {mail}");
    }
    server.refuse(Some("550 No such user\r\n"));
    stage.publish("n2", entered(Phase::Failed)).await?;
    counted(r#"messages_dropped_total{target="mail",code="MessageRefused"}"#).await?;
    server.refuse(Some("451 Later\r\n"));
    stage.publish("n3", entered(Phase::Failed)).await?;
    counted(r#"tries_failed_total{target="mail",code="ServerFault"}"#).await?;
    server.refuse(None);
    stage.all_events_are_settled().await?;
    assert_eq!((mails_of("n2").len(), mails_of("n3").len()), (0, 2));
    server.stop().await;
    stage.publish("n4", entered(Phase::Failed)).await?;
    counted(r#"tries_failed_total{target="mail",code="Unreachable"}"#).await?;
    server.restart().await?;
    stage.all_events_are_settled().await?;
    let mails = server.mails();
    assert_eq!(
        mails.iter().filter(|it| it.contains("n4: the reboot failed")).count(),
        2,
        "{mails:?}"
    );
    no_secret(&notifier.process)?;
    stage.finish()
}

#[tokio::test(flavor = "multi_thread")]
async fn mails_leave_by_the_url_of_kured_as_its_file_is_now() -> Result<()> {
    let _turn = world::turn().await?;
    let stage = Stage::start().await?;
    let authority = Authority::new("mail")?;
    let certificate = stage.place.path().join("mail.crt");
    authority.certify(&certificate, &certificate.with_extension("key"))?;
    let server = MailServer::start(&certificate)?;
    let ca = stage.secret("mail-ca", authority.certificate())?;
    let url = |password: &str, parameters: &str| {
        let port = server.port();
        format!("smtp://r%69g:{password}@127.0.0.1:{port}/?fromAddress=bellwether@example.com&{parameters}\n")
    };
    let two = "to=ops%2Bnight@example.com,team@example.com&subject=kured&useHTML=yes";
    let file = stage.secret("mail-url", &url(SECRET, two))?;
    let config = json!({
        "targets": [{
            "name": "mail", "perMinute": 600, "style": "each", "caFile": ca, "email": { "urlFile": file },
        }],
        "routes": [{ "targets": ["mail"], "minSeverity": "critical" }],
    });
    let notifier = stage.notifier(&config)?;
    notifier.wait_ready().await?;
    let failed = async |node: &str| stage.publish(node, entered(Phase::Failed)).await;
    let mails_of = |node: &str| {
        let subject = format!("Subject: Failure: {node}: the reboot failed");
        let mails = server.mails();
        mails.into_iter().filter(|it| it.contains(&subject)).collect::<Vec<_>>()
    };
    let counted = async |code: &str| {
        counts(
            &notifier,
            &format!(r#"tries_failed_total{{target="mail",code="{code}"}}"#),
        )
        .await
    };
    failed("n1").await?;
    counted("NotAuthorized").await?;
    rig::place::replace(&file, url("%72ig", two))?;
    stage.all_events_are_settled().await?;
    let mails = mails_of("n1");
    let [mail, _] = mails.as_slice() else {
        panic!("{mails:?}");
    };
    for part in [
        "From: bellwether@example.com",
        "ops+night@example.com",
        "team@example.com",
    ] {
        assert!(mail.contains(part), "{part}: {mail}");
    }

    // A recipient more.
    rig::place::replace(&file, url("%72ig", &format!("{two}&to=lost@example.com")))?;
    failed("n2").await?;
    stage.all_events_are_settled().await?;
    assert_eq!(mails_of("n2").len(), 2, "the first list of recipients counts");
    let three = two.replace("&subject", ",boss@example.com&subject");
    rig::place::replace(&file, url("%72ig", &three))?;
    failed("n3").await?;
    stage.all_events_are_settled().await?;
    let mails = mails_of("n3");
    assert_eq!(mails.len(), 3, "{mails:?}");
    assert!(mails.iter().all(|it| it.contains("boss@example.com")), "{mails:?}");

    // A way that the notifier does not have, until the file is right again.
    rig::place::replace(&file, url(SECRET, &format!("{three}&auth=CRAMMD5")))?;
    failed("n4").await?;
    counted("SecretUnusable").await?;
    rig::place::replace(&file, url("%72ig", &three))?;
    stage.all_events_are_settled().await?;
    assert_eq!(mails_of("n4").len(), 3);
    let log = notifier.process.output();
    for word in ["targets[0].email.urlFile", "take auth=Plain"] {
        assert!(log.contains(word), "{word}: {log}");
    }
    no_secret(&notifier.process)?;
    stage.finish()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_that_is_wrong_stops_the_notifier_with_field_and_remedy() -> Result<()> {
    let _turn = world::turn().await?;
    let stage = Stage::start().await?;
    let url = stage.secret("url", "https://hooks.example.com/T0PSECRET")?;
    let plain = stage.secret("plain", "http://hooks.example.com/T0PSECRET")?;
    let empty = stage.secret("empty", " \n")?;
    let smtp = |name: &str, end: &str| {
        let to = "from=b@example.com&to=ops@example.com";
        stage.secret(name, &format!("smtp://b:T0PSECRET@mail.example.com/?{to}{end}"))
    };
    let (in_plain, hashed) = (smtp("in-plain", "&useStartTLS=no")?, smtp("hashed", "&auth=CRAMMD5")?);
    let one = |target: serde_json::Value| json!({ "targets": [target] });
    for (config, words) in [
        (json!({ "targets": [] }), vec!["targets", "name at least one"]),
        (one(json!({ "name": "a", "slak": {} })), vec!["slak"]),
        (
            one(json!({ "name": "a" })),
            vec!["targets[0]", "give it slack, discord"],
        ),
        (
            one(json!({ "name": "a", "webhook": { "url": "http://hooks.example.com/x" } })),
            vec!["targets[0].webhook.url", "allowHttp"],
        ),
        (
            one(
                json!({ "name": "a", "webhook": { "url": "https://x.example/", "template": "{\"a\": \"{{ nod }}\"}" } }),
            ),
            vec!["targets[0].webhook.template", "nod", "choose among attempt, cluster"],
        ),
        (
            one(json!({ "name": "a", "webhook": { "url": "https://x.example/", "template": "{{ summary }}" } })),
            vec!["targets[0].webhook.template", "makes no JSON"],
        ),
        (
            one(json!({ "name": "a", "slack": { "urlFile": "/nowhere/url" } })),
            vec!["targets[0].slack.urlFile", "/nowhere/url", "mount the Secret"],
        ),
        (
            one(json!({ "name": "a", "slack": { "urlFile": empty } })),
            vec!["targets[0].slack.urlFile", "is empty"],
        ),
        (
            one(json!({ "name": "a", "slack": { "urlFile": plain } })),
            vec!["targets[0].slack.urlFile", "without TLS"],
        ),
        (
            one(json!({ "name": "a", "email": { "urlFile": in_plain } })),
            vec!["targets[0].email.urlFile", "sends mail without TLS", "allowHttp: true"],
        ),
        (
            one(json!({ "name": "a", "allowHttp": true, "email": { "urlFile": in_plain } })),
            vec!["targets[0].email.urlFile", "would send the password without TLS"],
        ),
        (
            one(json!({ "name": "a", "email": { "urlFile": hashed } })),
            vec!["targets[0].email.urlFile", "take auth=Plain"],
        ),
        (
            one(json!({ "name": "a", "style": "thread", "slack": { "urlFile": url } })),
            vec!["targets[0].style", "take digest or each"],
        ),
        (
            json!({
                "targets": [{ "name": "a", "slack": { "urlFile": url } }],
                "routes": [{ "targets": ["b"] }],
            }),
            vec!["routes[0].targets", "no target has this name"],
        ),
        (
            json!({ "giveUpAfter": "soon", "targets": [{ "name": "a", "slack": { "urlFile": url } }] }),
            vec!["giveUpAfter", "15m"],
        ),
        (
            json!({ "stuckAfter": "24h", "targets": [{ "name": "a", "slack": { "urlFile": url } }] }),
            vec!["stuckAfter", "shorter than maxAge"],
        ),
        (
            json!({
                "targets": [{ "name": "a", "slack": { "urlFile": url } }],
                "routes": [{ "targets": ["a"], "policies": ["nights", ""] }],
            }),
            vec!["routes[0].policies", "empty name"],
        ),
    ] {
        let notifier = stage.notifier(&config)?;
        let ended = notifier.process.wait(DEADLINE).await?;
        assert!(!ended.success(), "{config}");
        let log = notifier.process.output();
        for word in words {
            assert!(log.contains(word), "{config}: no {word:?} in {log}");
        }
        assert!(log.contains("--config"), "{log}");
        no_secret(&notifier.process)?;
    }
    stage.finish()
}
