//! Every field of a message, also of the messages in it, and also of those that it does not have yet.

use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, Value};

use crate::value::usual;

/// The way to a field: the field of the message, then that of the message in it, or of every entry of a
/// list of messages.
pub(crate) type FieldPath = Vec<FieldDescriptor>;

/// The way to every field. Of a oneof, only to the fields that the message has: another one is another sample.
pub(crate) fn paths(message: &DynamicMessage) -> Vec<FieldPath> {
    let mut paths = Vec::new();
    collect(
        &prost_reflect::ReflectMessage::descriptor(message),
        Some(message),
        &mut Vec::new(),
        &mut paths,
    );
    paths
}

fn collect(
    descriptor: &MessageDescriptor,
    message: Option<&DynamicMessage>,
    way: &mut FieldPath,
    paths: &mut Vec<FieldPath>,
) {
    for field in descriptor.fields() {
        let set = message.filter(|message| message.has_field(&field));
        if field.containing_oneof().is_some() && set.is_none() {
            continue;
        }
        way.push(field.clone());
        paths.push(way.clone());
        if let Kind::Message(inner) = field.kind() {
            let value = set.map(|message| message.get_field(&field));
            let value = value.as_deref().and_then(|value| match value.as_list() {
                Some(list) => list.first().and_then(Value::as_message),
                None => value.as_message(),
            });
            collect(&inner, value, way, paths);
        }
        way.pop();
    }
}

/// Sets the field; a message that is missing on the way is added with usual values.
pub(crate) fn set(message: &mut DynamicMessage, path: &[FieldDescriptor], value: Value) {
    let [field, rest @ ..] = path else { return };
    if rest.is_empty() {
        return message.set_field(field, value);
    }
    let Kind::Message(inner) = field.kind() else { return };
    if !field.is_list() && !message.has_field(field) {
        message.set_field(field, Value::Message(usual(&inner)));
    }
    let value_of_field = message.get_field_mut(field);
    if let Value::Message(inner) = value_of_field {
        set(inner, rest, value);
    } else if let Value::List(list) = value_of_field {
        if list.is_empty() {
            list.push(Value::Message(usual(&inner)));
        }
        for entry in list {
            if let Value::Message(entry) = entry {
                set(entry, rest, value.clone());
            }
        }
    }
}
