//! Names of the headers that every message carries.

/// Full name of the protobuf message in the body, such as `bellwether.v1.Attempt`.
pub const TYPE: &str = "Bellwether-Type";

/// Version of the schema, `major.minor`: a newer minor may have more fields, another major is another language.
pub const SCHEMA: &str = "Bellwether-Schema";

/// Media type of the body.
pub const CONTENT_TYPE: &str = "content-type";

/// The only media type that is spoken.
pub const PROTOBUF: &str = "application/protobuf";

/// W3C trace context, in lower case since NATS headers are case-sensitive.
pub const TRACEPARENT: &str = "traceparent";

/// Signature of a record of the bucket of attempts; see [`crate::signature`].
pub const SIGNATURE: &str = "Bellwether-Signature";

/// The server's header by which it drops a second copy of a message; see [`crate::MessageIds`].
pub const MESSAGE_ID: &str = "Nats-Msg-Id";

/// The major version of the schema that this crate speaks.
pub const SCHEMA_MAJOR: u32 = 1;

/// The minor version of the schema that this crate writes.
pub const SCHEMA_MINOR: u32 = 0;
