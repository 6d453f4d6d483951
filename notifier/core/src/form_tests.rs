//! The bodies of each kind of target, and their limits.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::form::{Draft, Letter, Post};
use crate::notification::{Kind, Notification, Severity};
use crate::settings::{Settings, Target};

fn target(kind: &str) -> Target {
    let config = json!({ "targets": [{ "name": "t", kind: kind_of(kind) }] });
    let Settings { mut targets, .. } = Settings::parse(&config.to_string()).unwrap();
    targets.remove(0)
}

fn kind_of(kind: &str) -> Value {
    match kind {
        "pagerduty" => json!({ "routingKeyFile": "/key" }),
        "webhook" => {
            json!({ "url": "https://x.example/", "contentType": "text/plain", "template": "{{node}}|{{ key }}" })
        }
        _ => json!({ "urlFile": "/url" }),
    }
}

fn draft(target: &Target, notification: &Notification) -> Post {
    match crate::form::draft(target, notification, None) {
        Draft::Post(post) => post,
        Draft::Letter(letter) => panic!("{letter:?}"),
    }
}

fn message(kind: Kind, summary: &str, detail: &str) -> Notification {
    Notification {
        kind,
        severity: kind.severity(),
        cluster: "east".to_owned(),
        policy: Some("nights".to_owned()),
        node: "n1".to_owned(),
        owners: ["team-shop".to_owned()].into(),
        attempt: "a1".to_owned(),
        occasion: String::new(),
        at: Timestamp::UNIX_EPOCH,
        summary: summary.to_owned(),
        detail: detail.to_owned(),
        rollout: None,
    }
}

fn body(kind: &str, notification: &Notification) -> Value {
    serde_json::from_str(&draft(&target(kind), notification).body).unwrap()
}

#[test]
fn each_service_gets_its_form() {
    let failed = message(Kind::AttemptFailed, "n1: the reboot failed", "not <back>");
    let text = "Failure: [east] n1: the reboot failed\nnot <back>";
    assert_eq!(
        body("slack", &failed),
        json!({ "text": "Failure: [east] n1: the reboot failed\nnot &lt;back&gt;" })
    );
    assert_eq!(
        body("discord", &failed),
        json!({ "content": text, "allowed_mentions": { "parse": [] } })
    );
    assert_eq!(body("mattermost", &failed), json!({ "text": text }));
    let card = body("teams", &failed);
    let blocks = card.pointer("/attachments/0/content/body").unwrap();
    let text_of = |number: usize| &blocks[number]["inlines"][0]["text"];
    assert_eq!(text_of(0), "Failure: [east] n1: the reboot failed");
    assert_eq!(text_of(1), "not <back>");
    let plain = draft(&target("webhook"), &failed);
    assert_eq!(
        (plain.content_type.as_str(), plain.body.as_str()),
        ("text/plain", "n1|a1:AttemptFailed")
    );
}

#[test]
fn an_incident_begins_with_a_failure_and_ends_when_the_node_is_back_by_whichever_attempt() {
    let failed = message(Kind::AttemptFailed, "n1: the reboot failed", "");
    let mut back = message(Kind::Rebooted, "n1 has rebooted", "");
    back.attempt = "a2".to_owned();
    let (begun, ended) = (body("pagerduty", &failed), body("pagerduty", &back));
    assert_eq!(
        (&begun["event_action"], &ended["event_action"]),
        (&json!("trigger"), &json!("resolve"))
    );
    assert_eq!(begun["dedup_key"], "bellwether/east/n1");
    assert_eq!(begun["dedup_key"], ended["dedup_key"]);
    assert_eq!(begun["payload"]["severity"], "critical");
    let draft = draft(&target("pagerduty"), &failed);
    let (field, secret) = draft.secret_field.unwrap();
    assert_eq!((field, secret.path.to_str().unwrap()), ("routing_key", "/key"));
}

#[test]
fn a_target_of_incidents_gets_failures_and_their_ends_whatever_the_route_says() {
    for route in [
        json!({ "targets": ["t"], "minSeverity": "critical" }),
        json!({ "targets": ["t"], "kinds": ["AttemptFailed"] }),
    ] {
        let config = json!({
            "targets": [{ "name": "t", "pagerduty": { "routingKeyFile": "/key" } }],
            "routes": [route],
        });
        let settings = Settings::parse(&config.to_string()).unwrap();
        let target = settings.targets.first().unwrap();
        let wanted = Kind::ALL
            .into_iter()
            .filter(|kind| settings.wants(target, &message(*kind, "s", "")));
        let ends_and_failures = [Kind::Rebooted, Kind::AttemptFailed, Kind::AttemptCancelled];
        assert_eq!(wanted.collect::<Vec<_>>(), ends_and_failures);
    }
    let cancelled = body("pagerduty", &message(Kind::AttemptCancelled, "s", ""));
    assert_eq!(
        cancelled,
        json!({ "event_action": "resolve", "dedup_key": "bellwether/east/n1" })
    );
}

#[test]
fn a_mail_has_one_line_as_its_subject_and_the_same_id_each_time() {
    let config = json!({ "targets": [{ "name": "t", "email": {
        "server": "mail.example.com", "from": "bellwether@example.com", "to": ["ops@example.com"],
    } }] });
    let settings = Settings::parse(&config.to_string()).unwrap();
    let failed = message(Kind::AttemptFailed, &"n1: the reboot failed ".repeat(40), "not\nback");
    let letter = || match crate::form::draft(&settings.targets[0], &failed, None) {
        Draft::Letter(letter) => letter,
        Draft::Post(post) => panic!("{post:?}"),
    };
    let Letter {
        subject,
        body,
        message_id,
        references,
    } = letter();
    assert!(subject.starts_with("Failure: [east] n1") && subject.len() <= 200 && !subject.contains('\n'));
    assert!(body.contains("not\nback\n") && body.contains("AttemptFailed"), "{body}");
    assert_eq!(
        (message_id.as_str(), references),
        ("<a1.AttemptFailed@notifier.bellwether>", None)
    );
    assert_eq!(letter().message_id, message_id);
}

#[test]
fn a_recipient_of_several_is_named_by_its_field() {
    let config = json!({ "targets": [
        { "name": "several", "email": { "server": "m", "from": "a@b.c", "to": ["a@b.c", "d@e.f"] } },
        { "name": "one", "email": { "server": "m", "from": "a@b.c", "to": ["a@b.c"] } },
    ] });
    let settings = Settings::parse(&config.to_string()).unwrap();
    let [several, one] = settings.targets.as_slice() else {
        panic!("{settings:?}");
    };
    assert_eq!((several.recipients(), one.recipients()), (2, 1));
    assert_eq!(several.recipient_field(1).as_deref(), Some("email.to[1]"));
    assert_eq!(one.recipient_field(0), None);
}

#[test]
fn a_mail_server_that_cannot_be_used_is_named_with_its_field() {
    for (field, value, named, word) in [
        ("server", json!("smtp://mail"), "email.server", "leave out scheme"),
        ("to", json!([]), "email.to", "1 to 16"),
        (
            "to",
            json!(["a@b", "Ops <ops@example.com>"]),
            "email.to[1]",
            "name@example.com",
        ),
        ("from", json!("bellwether"), "email.from", "name@example.com"),
        ("security", json!("none"), "email.security", "starttls"),
        ("username", json!("u"), "email", "passwordFile"),
    ] {
        let mut email = json!({ "server": "mail.example.com", "from": "a@b.c", "to": ["a@b.c"] });
        email[field] = value;
        let config = json!({ "targets": [{ "name": "t", "email": email }] });
        let error = Settings::parse(&config.to_string()).unwrap_err();
        assert_eq!(error.field, format!("targets[0].{named}"));
        assert!(error.problem.contains(word), "{error}");
    }
}

#[test]
fn a_mail_server_is_in_fields_or_in_the_url_of_a_file_whose_recipients_are_known_later() {
    let parse = |email: Value| Settings::parse(&json!({ "targets": [{ "name": "t", "email": email }] }).to_string());
    let settings = parse(json!({ "urlFile": "/secrets/mail" })).unwrap();
    let target = &settings.targets[0];
    let files: Vec<String> = target.secrets().into_iter().map(ToString::to_string).collect();
    assert_eq!(files, ["targets[0].email.urlFile (/secrets/mail)"]);
    assert_eq!((target.recipients(), target.recipient_field(0)), (1, None));
    let letter = crate::form::draft(target, &message(Kind::Test, "s", ""), None);
    assert!(matches!(letter, Draft::Letter(_)), "{letter:?}");
    for (email, field, word) in [
        (json!({ "urlFile": "smtp://m/" }), "email.urlFile", "absolute path"),
        (
            json!({ "urlFile": "/f", "port": 25 }),
            "email",
            "in place of every other field",
        ),
        (
            json!({ "urlFile": "/f", "to": ["a@b.c"] }),
            "email",
            "in place of every other field",
        ),
        (
            json!({ "urlFile": "/f", "username": "u" }),
            "email",
            "in place of every other field",
        ),
        (
            json!({ "server": "m", "to": ["a@b.c"] }),
            "email",
            "server, from and to, or urlFile",
        ),
        (
            json!({ "from": "a@b.c", "to": ["a@b.c"] }),
            "email",
            "server, from and to, or urlFile",
        ),
        (json!({ "server": "m", "from": "a@b.c" }), "email.to", "1 to 16"),
    ] {
        let error = parse(email).unwrap_err();
        assert_eq!(error.field, format!("targets[0].{field}"));
        assert!(error.problem.contains(word), "{error}");
    }
}

#[test]
fn no_text_of_the_cluster_has_an_effect_in_a_channel() {
    let failed = message(Kind::AttemptFailed, "@all", "[click](https://evil.example/)");
    for (kind, field) in [("mattermost", "text"), ("discord", "content")] {
        let text = body(kind, &failed)[field].as_str().unwrap().to_owned();
        for active in ["@all", "](", "://"] {
            assert!(!text.contains(active), "{kind}: {text}");
        }
    }
    // In a card, Markdown is that of TextBlocks.
    let card = body("teams", &failed).to_string();
    assert!(
        card.contains(r#""RichTextBlock""#) && !card.contains(r#""TextBlock""#),
        "{card}"
    );
}

#[test]
fn a_json_type_in_capitals_has_its_fields_escaped_as_well() {
    let of = |template: &str| {
        let webhook = json!({ "url": "https://x.example/", "contentType": "application/JSON", "template": template });
        Settings::parse(&json!({ "targets": [{ "name": "t", "webhook": webhook }] }).to_string())
    };
    let Settings { targets, .. } = of(r#"{"text": "{{ detail }}"}"#).unwrap();
    let failed = message(Kind::AttemptFailed, "s", r#"", "channel": "other"#);
    let made: Value = serde_json::from_str(&draft(&targets[0], &failed).body).unwrap();
    assert_eq!(made, json!({ "text": r#"", "channel": "other"# }));
    assert!(of("{{ detail }}").is_err());
}

#[test]
fn no_text_is_above_the_limit_of_its_service() {
    let long = "ü".repeat(40_000);
    let failed = message(Kind::AttemptFailed, &long, &long);
    let length = |value: &Value| value.as_str().unwrap().chars().count();
    assert!(length(&body("discord", &failed)["content"]) <= 2000);
    assert!(length(&body("mattermost", &failed)["text"]) <= 4000);
    assert!(length(&body("slack", &failed)["text"]) <= 4000);
    assert!(length(&body("pagerduty", &failed)["payload"]["summary"]) <= 1024);
    for kind in ["teams", "pagerduty"] {
        assert!(body(kind, &failed).to_string().len() < 28 * 1024, "{kind}");
    }
    assert_eq!(failed.severity, Severity::Critical);
}
