//! Names of the settings: the environment variables that the services and `kubectl reboots` read.
//!
//! Here, since more than one part names each: the program that reads it, the manifests that set it,
//! the check that compares it. The `--help` of the program states what a setting means. Tests
//! compare the manifests with this list, and each program with it.

names! {
    /// Of every service: addresses of the NATS servers.
    NATS_URL = "BELLWETHER_NATS_URL";
    /// Of every service: file with NATS credentials.
    NATS_CREDENTIALS = "BELLWETHER_NATS_CREDENTIALS";
    /// Of every service: user of NATS.
    NATS_USER = "BELLWETHER_NATS_USER";
    /// Of every service: file with the password of that user.
    NATS_PASSWORD = "BELLWETHER_NATS_PASSWORD";
    /// Of every service: file with a token for NATS.
    NATS_TOKEN = "BELLWETHER_NATS_TOKEN";
    /// Of every service: file with the authority of NATS's certificate.
    NATS_CA = "BELLWETHER_NATS_CA";
    /// Of every service: where `/livez`, `/readyz` and `/metrics` are served.
    ADMIN_ADDRESS = "BELLWETHER_ADMIN_ADDRESS";
    /// Of every service: which messages are logged.
    LOG = "BELLWETHER_LOG";
    /// Of every service: form of the log.
    LOG_FORMAT = "BELLWETHER_LOG_FORMAT";
    /// Of scheduler and drainer: whether they create what is missing in JetStream.
    MANAGE_STREAMS = "BELLWETHER_MANAGE_STREAMS";
    /// Of scheduler and drainer: how many NATS servers hold each stream.
    STREAM_REPLICAS = "BELLWETHER_STREAM_REPLICAS";
    /// Of scheduler and drainer: for how long the stream of events keeps them.
    EVENTS_MAX_AGE = "BELLWETHER_EVENTS_MAX_AGE";
    /// Of scheduler and drainer: how much the stream of events keeps.
    EVENTS_MAX_BYTES = "BELLWETHER_EVENTS_MAX_BYTES";
    /// Of scheduler and drainer: how many events of each kind for each node the stream keeps.
    EVENTS_PER_NODE = "BELLWETHER_EVENTS_PER_NODE";

    /// Of scheduler and drainer: file with headers for the collector of traces.
    TRACES_HEADERS = "BELLWETHER_TRACES_HEADERS";

    /// Of drainer and rebooter: file with the public keys by which records are verified.
    RECORD_KEYS = "BELLWETHER_RECORD_KEYS";

    /// Of the agents, and of the scheduler: name of the node.
    NODE_NAME = "BELLWETHER_NODE_NAME";
    /// Of the agents: where the host's files are mounted.
    HOST_ROOT = "BELLWETHER_HOST_ROOT";
    /// Of the agents: where the host's `/proc` is mounted.
    PROC_ROOT = "BELLWETHER_PROC_ROOT";
    /// Of the agents: how often a report is stored without a change.
    REFRESH_INTERVAL = "BELLWETHER_REFRESH_INTERVAL";
    /// Of the sentinel: the sentinel file.
    SENTINEL_FILE = "BELLWETHER_SENTINEL_FILE";
    /// Of the sentinel: its probes.
    PROBES = "BELLWETHER_PROBES";
    /// Of the sentinel: how often the host is probed without a hint.
    RESCAN_INTERVAL = "BELLWETHER_RESCAN_INTERVAL";
    /// Of the rebooter: the method of rebooting.
    REBOOT_METHOD = "BELLWETHER_REBOOT_METHOD";
    /// Of the rebooter: the host's system bus.
    DBUS_SOCKET = "BELLWETHER_DBUS_SOCKET";
    /// Of the rebooter: the command that reboots.
    REBOOT_COMMAND = "BELLWETHER_REBOOT_COMMAND";
    /// Of the rebooter: further methods for a host that does not obey the first one.
    REBOOT_ESCALATION = "BELLWETHER_REBOOT_ESCALATION";
    /// Of the rebooter: whether the command runs among the host's files.
    HOST_NAMESPACES = "BELLWETHER_HOST_NAMESPACES";
    /// Of the rebooter: how often the attempt record is read without a hint.
    REREAD_INTERVAL = "BELLWETHER_REREAD_INTERVAL";

    /// Of the drainer: how many nodes one replica drains at once.
    DRAINER_CONCURRENCY = "BELLWETHER_DRAINER_CONCURRENCY";
    /// Of the drainer: how many evictions of one node are under way at once.
    DRAINER_EVICTIONS_PER_NODE = "BELLWETHER_DRAINER_EVICTIONS_PER_NODE";
    /// Of the drainer: how many evictions of one replica are under way at once.
    DRAINER_EVICTIONS = "BELLWETHER_DRAINER_EVICTIONS";
    /// Of the drainer: further kinds of controllers whose pods stay as those of DaemonSets do.
    DRAINER_DAEMON_SET_KINDS = "BELLWETHER_DRAINER_DAEMON_SET_KINDS";
    /// Of the drainer: labels that a node gets with its cordon.
    DRAINER_PRE_REBOOT_NODE_LABELS = "BELLWETHER_DRAINER_PRE_REBOOT_NODE_LABELS";
    /// Of the drainer: labels that a node gets with the end of its cordon.
    DRAINER_POST_REBOOT_NODE_LABELS = "BELLWETHER_DRAINER_POST_REBOOT_NODE_LABELS";
    /// Of the drainer: whether nodes get kured's annotations.
    DRAINER_ANNOTATE_NODES = "BELLWETHER_DRAINER_ANNOTATE_NODES";

    /// Of the scheduler: where the gRPC API is served.
    API_ADDRESS = "BELLWETHER_API_ADDRESS";
    /// Of the scheduler: name of the replica in the Lease.
    IDENTITY = "BELLWETHER_IDENTITY";
    /// Of the scheduler: namespace of the Lease. Of the gatekeeper: namespace of its Secret.
    NAMESPACE = "BELLWETHER_NAMESPACE";
    /// Of the scheduler: namespace of the agents.
    AGENTS_NAMESPACE = "BELLWETHER_AGENTS_NAMESPACE";
    /// Of the scheduler: how long the Lease lasts.
    LEASE_DURATION = "BELLWETHER_LEASE_DURATION";
    /// Of the scheduler: how many nodes may be disrupted at once.
    SLOTS = "BELLWETHER_SLOTS";
    /// Of the scheduler: limit of the phase Draining.
    DRAIN_TIMEOUT = "BELLWETHER_DRAIN_TIMEOUT";
    /// Of the scheduler: until when after the drain a reboot may begin.
    REBOOT_START_TIMEOUT = "BELLWETHER_REBOOT_START_TIMEOUT";
    /// Of the scheduler: limit of the phase Rebooting.
    REBOOT_TIMEOUT = "BELLWETHER_REBOOT_TIMEOUT";
    /// Of the scheduler: limit of the phase Verifying.
    VERIFY_TIMEOUT = "BELLWETHER_VERIFY_TIMEOUT";
    /// Of the scheduler: limit of the phases Uncordoning and RollingBack.
    UNCORDON_TIMEOUT = "BELLWETHER_UNCORDON_TIMEOUT";
    /// Of the scheduler: how long a node has to be Ready before its slot is free.
    SOAK = "BELLWETHER_SOAK";
    /// Of the scheduler: wait after a failed attempt.
    RETRY_DELAY = "BELLWETHER_RETRY_DELAY";
    /// Of the scheduler: whether a drainer has to answer that a node can be drained before an attempt starts.
    CHECK_DRAINS = "BELLWETHER_CHECK_DRAINS";
    /// Of the scheduler: whether the conditions of Node objects show where their reboots are.
    NODE_CONDITIONS = "BELLWETHER_NODE_CONDITIONS";
    /// Of the scheduler: whether attempts start beside a rival.
    TOLERATE_RIVALS = "BELLWETHER_TOLERATE_RIVALS";
    /// Of the scheduler: the part of attempts of which traces are exported.
    TRACES_RATIO = "BELLWETHER_TRACES_RATIO";
    /// Of the scheduler: the folder in which the leader records all inputs of the core.
    RECORD_INPUTS = "BELLWETHER_RECORD_INPUTS";
    /// Of the scheduler: the folder of the files that gates of policies name.
    GATE_SECRETS = "BELLWETHER_GATE_SECRETS";
    /// Of the scheduler: whether kured's metric is published too.
    KURED_METRIC = "BELLWETHER_KURED_METRIC";
    /// Of the scheduler: how long a key signs records.
    RECORD_KEY_LIFETIME = "BELLWETHER_RECORD_KEY_LIFETIME";
    /// Of the scheduler: how long a new key is published before it signs records.
    RECORD_KEY_NOTICE = "BELLWETHER_RECORD_KEY_NOTICE";

    /// Of the gatekeeper: the folder of the NATS server's files.
    SERVER_DIR = "BELLWETHER_SERVER_DIR";
    /// Of the gatekeeper: names of the NATS server in its certificate.
    SERVER_NAMES = "BELLWETHER_SERVER_NAMES";
    /// Of the gatekeeper: how long a certificate counts.
    CERTIFICATE_LIFETIME = "BELLWETHER_CERTIFICATE_LIFETIME";
    /// Of the gatekeeper: the Secret with the seed of all keys.
    GATE_SECRET = "BELLWETHER_GATE_SECRET";
    /// Of the gatekeeper: how often Secret and ConfigMaps are looked at.
    GATE_INTERVAL = "BELLWETHER_GATE_INTERVAL";
    /// Of the gatekeeper: the namespaces of the clients.
    CLIENT_NAMESPACES = "BELLWETHER_CLIENT_NAMESPACES";
    /// Of the gatekeeper: the ServiceAccount of the sentinels.
    SENTINEL_ACCOUNT = "BELLWETHER_SENTINEL_ACCOUNT";
    /// Of the gatekeeper: the ServiceAccount of the rebooters.
    REBOOTER_ACCOUNT = "BELLWETHER_REBOOTER_ACCOUNT";
    /// Of the gatekeeper: the ServiceAccount of the drainers.
    DRAINER_ACCOUNT = "BELLWETHER_DRAINER_ACCOUNT";
    /// Of the gatekeeper: the ServiceAccount of the schedulers.
    SCHEDULER_ACCOUNT = "BELLWETHER_SCHEDULER_ACCOUNT";
    /// Of the gatekeeper: the ServiceAccount of the notifier.
    NOTIFIER_ACCOUNT = "BELLWETHER_NOTIFIER_ACCOUNT";

    /// Of the notifier: the file with targets and routes.
    NOTIFIER_CONFIG = "BELLWETHER_NOTIFIER_CONFIG";
    /// Of the notifier: the folder that keeps its state over a restart.
    NOTIFIER_STATE = "BELLWETHER_NOTIFIER_STATE";

    /// Of `kubectl reboots`: addresses of the schedulers.
    SCHEDULER = "BELLWETHER_SCHEDULER";
}

/// What every setting begins with.
pub const PREFIX: &str = "BELLWETHER_";

/// Of scheduler and drainer, by OpenTelemetry's name: address of the collector of traces.
pub const OTLP_ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
/// Of scheduler and drainer, by OpenTelemetry's name: file with the authority of the collector's certificate.
pub const OTLP_CERTIFICATE: &str = "OTEL_EXPORTER_OTLP_CERTIFICATE";
/// Of scheduler and drainer, by OpenTelemetry's name: headers for the collector, which all may read who see the settings.
pub const OTLP_HEADERS: &str = "OTEL_EXPORTER_OTLP_HEADERS";
/// Of scheduler and drainer, by OpenTelemetry's name: the protocol, of which there is one.
pub const OTLP_PROTOCOL: &str = "OTEL_EXPORTER_OTLP_PROTOCOL";
/// Of scheduler and drainer, by OpenTelemetry's name: how long a span waits for others, in milliseconds.
pub const OTLP_DELAY: &str = "OTEL_BSP_SCHEDULE_DELAY";
