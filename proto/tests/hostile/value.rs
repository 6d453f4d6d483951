//! Extreme values of a field, and usual ones that fit some fields.

use bellwether_proto::FleetControl;
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, Value};

/// Longer than any text of the contract.
const LONG: usize = 6_000;

/// More than any list of the contract has.
const MANY: usize = 300;

/// As many entries as the only list may have that is not cut.
const ORDERS_MAX: usize = FleetControl::ORDERS_MAX;

/// Values of every form that the field may have.
pub(crate) fn extremes(path: &[FieldDescriptor]) -> Vec<Value> {
    let Some(field) = path.last() else { return Vec::new() };
    let single = singles(&field.kind());
    if !field.is_list() {
        return single;
    }
    let mut lists = vec![Value::List(Vec::new())];
    for value in single {
        for length in [1, ORDERS_MAX, MANY] {
            lists.push(Value::List(vec![value.clone(); length]));
        }
    }
    lists
}

fn singles(kind: &Kind) -> Vec<Value> {
    match kind {
        Kind::String => texts().into_iter().map(Value::String).collect(),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => [i64::MIN, i64::MAX, 0, -1, 1, 253_402_207_200, 315_576_000_000]
            .into_iter()
            .chain([-377_705_023_201, -377_705_023_202, -315_576_000_001])
            .map(Value::I64)
            .collect(),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => {
            [i32::MIN, i32::MAX, 0, -1, 999_999_999, 1_000_000_000, -1_000_000_000]
                .map(Value::I32)
                .into()
        }
        Kind::Uint32 | Kind::Fixed32 => [0, 1, u32::MAX].map(Value::U32).into(),
        Kind::Uint64 | Kind::Fixed64 => [0, 1, u64::MAX].map(Value::U64).into(),
        Kind::Enum(_) => [i32::MIN, -1, 0, 1, 2, 9999, i32::MAX].map(Value::EnumNumber).into(),
        Kind::Bool => [false, true].map(Value::Bool).into(),
        Kind::Message(inner) => messages(inner),
        // Of the length of a hash, the longest event of a chain, and longer.
        Kind::Bytes => [0, 1, 32, 10_240, 10_241]
            .map(|bytes| Value::Bytes(vec![0xff; bytes].into()))
            .into(),
        Kind::Double | Kind::Float => panic!("the contract has no field of this kind: add its extremes"),
    }
}

/// The empty message, one of usual values, and those in which all numbers are extreme at once, such as the seconds and
/// nanoseconds of a duration.
fn messages(descriptor: &MessageDescriptor) -> Vec<Value> {
    let mut messages = vec![DynamicMessage::new(descriptor.clone()), usual(descriptor)];
    for extreme in 0..4_usize {
        for other in 0..7_usize {
            let mut message = DynamicMessage::new(descriptor.clone());
            for (index, field) in descriptor.fields().enumerate() {
                if matches!(field.kind(), Kind::Message(_)) || field.is_list() {
                    continue;
                }
                let values = singles(&field.kind());
                let chosen = if index == 0 { extreme } else { other };
                if let Some(value) = values.iter().cycle().nth(chosen) {
                    message.set_field(&field, value.clone());
                }
            }
            messages.push(message);
        }
    }
    messages.into_iter().map(Value::Message).collect()
}

/// A message that readers take, if none of its texts has a form.
pub(crate) fn usual(descriptor: &MessageDescriptor) -> DynamicMessage {
    let mut message = DynamicMessage::new(descriptor.clone());
    for field in descriptor.fields().filter(|field| !field.is_list()) {
        let kind = field.kind();
        let value = if let Kind::Message(inner) = &kind {
            Value::Message(usual(inner))
        } else if kind == Kind::String {
            Value::String("a1".to_owned())
        } else if let Kind::Enum(_) = kind {
            Value::EnumNumber(1)
        } else {
            Value::default_value(&kind)
        };
        message.set_field(&field, value);
    }
    message
}

fn texts() -> Vec<String> {
    let usual = [
        "",
        "a1",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "dddddddd-dddd-4ddd-8ddd-dddddddddddd",
        "+0000000000000ff",
        "\u{0}\u{1b}[2J\n",
    ];
    let mut texts = usual.map(str::to_owned).to_vec();
    texts.extend(["x", "ä", "€", "😀", "0", "-"].map(|part| part.repeat(LONG / part.len())));
    // The longest that the id of a key, an id, an owner, a boot id, a UID and a node's name may be, and one more.
    texts.extend([16, 36, 37, 63, 64, 65, 128, 129, 253, 254].map(|length| "a".repeat(length)));
    texts
}
