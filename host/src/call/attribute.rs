//! Extended attributes: small named values of a file, apart from its bytes.

use bytes::Bytes;

use crate::call::HandleId;

/// What is expected of a name before its value is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SetAttribute {
    /// Nothing.
    Any,
    /// It is not there (`XATTR_CREATE`).
    Create,
    /// It is there (`XATTR_REPLACE`).
    Replace,
}

/// One request of a process about the attributes of an open file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attribute {
    /// `fgetxattr`; answers [`crate::call::Value::AttributeValue`].
    Get {
        /// The file.
        handle: HandleId,
        /// The attribute.
        name: Bytes,
    },
    /// `flistxattr`; answers [`crate::call::Value::AttributeNames`].
    List {
        /// The file.
        handle: HandleId,
    },
    /// `fsetxattr`.
    Set {
        /// The file.
        handle: HandleId,
        /// The attribute.
        name: Bytes,
        /// Its new value.
        value: Bytes,
        /// What is expected of the name.
        how: SetAttribute,
    },
    /// `fremovexattr`.
    Remove {
        /// The file.
        handle: HandleId,
        /// The attribute.
        name: Bytes,
    },
}
