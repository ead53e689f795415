//! The members of a REST request's JSON body, as protocol buffers' JSON form writes them.

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE},
};
use serde_json::{Map, Value};

use crate::respond::{ApiError, Code};

/// A JSON object.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fields(Map<String, Value>);

impl Fields {
    /// A body that is absent has no members.
    pub(crate) fn parse(body: &[u8]) -> Result<Self, ApiError> {
        if body.is_empty() {
            return Ok(Self::default());
        }
        csign_oci::json::from_slice(body).map(Self).map_err(|e| invalid(format!("Invalid JSON payload received. {e}")))
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    /// The members of a member; none if it is absent.
    pub(crate) fn object(&self, name: &str) -> Result<Self, ApiError> {
        match self.get(name) {
            None => Ok(Self::default()),
            Some(Value::Object(members)) => Ok(Self(members.clone())),
            Some(_) => Err(invalid(format!("{name} must be an object."))),
        }
    }

    /// A string; empty if it is absent.
    pub(crate) fn text(&self, name: &str) -> Result<String, ApiError> {
        match self.get(name) {
            None => Ok(String::new()),
            Some(Value::String(text)) => Ok(text.clone()),
            Some(_) => Err(invalid(format!("{name} must be a string."))),
        }
    }

    /// A list of strings; empty if it is absent.
    pub(crate) fn texts(&self, name: &str) -> Result<Vec<String>, ApiError> {
        let Some(value) = self.get(name) else { return Ok(Vec::new()) };
        let texts = value.as_array().and_then(|list| list.iter().map(|v| v.as_str().map(str::to_owned)).collect());
        texts.ok_or_else(|| invalid(format!("{name} must be a list of strings.")))
    }

    /// Bytes in base64 of either alphabet; empty if they are absent.
    pub(crate) fn bytes(&self, name: &str) -> Result<Vec<u8>, ApiError> {
        let text = match self.get(name) {
            None => return Ok(Vec::new()),
            Some(Value::String(text)) => text,
            Some(_) => return Err(invalid(format!("Invalid value at '{name}' (TYPE_BYTES)."))),
        };
        let decoded = STANDARD.decode(text).or_else(|_| URL_SAFE.decode(text));
        decoded.map_err(|_| invalid(format!("Invalid value at '{name}' (TYPE_BYTES).")))
    }

    /// An int64, which JSON writes as a string; numbers are accepted as well.
    pub(crate) fn int(&self, name: &str) -> Result<Option<i64>, ApiError> {
        let number = match self.get(name) {
            None => return Ok(None),
            Some(Value::String(text)) => text.parse::<i64>().ok(),
            Some(value) => value.as_i64(),
        };
        number.map(Some).ok_or_else(|| invalid(format!("{name} is not an int64.")))
    }

    /// An enumeration by name or number; 0 if it is absent.
    pub(crate) fn enumeration(&self, name: &str, names: &[(&str, i32)]) -> Result<i32, ApiError> {
        let number = match self.get(name) {
            None => return Ok(0),
            Some(Value::String(text)) => names.iter().find(|(known, _)| known == text).map(|(_, number)| *number),
            Some(value) => value.as_i64().and_then(|number| i32::try_from(number).ok()),
        };
        number.ok_or_else(|| invalid(format!("Invalid value at '{name}': the simulator does not know it.")))
    }
}

fn invalid(message: String) -> ApiError {
    ApiError::new(Code::InvalidArgument, message)
}
