//! Checks a datum against the schema it was written with, to its last byte.
//!
//! arrow-avro takes any union index but that of null for the other branch, any byte but zero for `true`, and finds bad
//! UTF-8 only in a whole column. What passes here it decodes without an error of its own, and as the reference does.

use std::collections::HashSet;

use serde_json::Value;

/// Items an array or map may count beyond one for each byte of its datum: items may take no bytes, so a count alone
/// must not keep a reader busy.
const SPARE_ITEMS: u64 = 65_536;
/// Keys of a map that are compared with each other rather than hashed.
const FEW_KEYS: usize = 16;

/// What is wrong with a datum: the code of the cause, and words that quote nothing of it.
#[derive(Clone, Copy, Debug)]
pub struct Fault {
    pub cause: &'static str,
    pub message: &'static str,
}

impl Fault {
    pub const fn undecodable(message: &'static str) -> Self {
        Self { cause: "undecodable", message }
    }
}

const TRAILING: Fault = Fault { cause: "trailing_bytes", message: "bytes follow the datum" };
/// What is wrong with a datum. As small as it is, because every number that is read returns room for it.
type Wrong = &'static str;

const TRUNCATED: Wrong = "the datum ends too early";

/// A schema as it is walked; every named type stands in full.
pub enum Validator {
    Null,
    Boolean,
    Int,
    Long,
    /// Float, double and fixed, by width in bytes.
    Width(usize),
    Bytes,
    String,
    /// By number of symbols.
    Enum(usize),
    Union(Vec<Validator>),
    Array(Box<Validator>),
    Map(Box<Validator>),
    Record(Vec<Validator>),
}

impl Validator {
    /// Compiles a schema in JSON form without logical types, its named types expanded.
    pub fn compile(schema: &Value) -> Result<Self, String> {
        match schema {
            Value::String(name) => Self::primitive(name),
            Value::Array(branches) => Ok(Self::Union(compile_all(branches)?)),
            Value::Object(_) => match &schema["type"] {
                Value::String(name) => Self::complex(name, schema),
                inner => Self::compile(inner),
            },
            _ => Err("a type is a name, an object or an array".into()),
        }
    }

    fn primitive(name: &str) -> Result<Self, String> {
        Ok(match name {
            "null" => Self::Null,
            "boolean" => Self::Boolean,
            "int" => Self::Int,
            "long" => Self::Long,
            "float" => Self::Width(4),
            "double" => Self::Width(8),
            "bytes" => Self::Bytes,
            "string" => Self::String,
            _ => return Err(format!("type {name} contains itself or is not known")),
        })
    }

    fn complex(name: &str, schema: &Value) -> Result<Self, String> {
        Ok(match name {
            "record" | "error" => {
                let fields = list(schema, "fields")?.iter();
                Self::Record(fields.map(|field| Self::compile(&field["type"])).collect::<Result<_, _>>()?)
            }
            "enum" => Self::Enum(list(schema, "symbols")?.len()),
            "fixed" => {
                let size = schema["size"].as_u64().and_then(|size| usize::try_from(size).ok());
                Self::Width(size.ok_or("a fixed has a size")?)
            }
            "array" => Self::Array(Box::new(Self::compile(&schema["items"])?)),
            "map" => Self::Map(Box::new(Self::compile(&schema["values"])?)),
            _ => return Self::primitive(name),
        })
    }

    /// Checks that the bytes are one datum of the schema and nothing else.
    pub fn check(&self, datum: &[u8]) -> Result<(), Fault> {
        let mut walk = Walk { rest: datum, items: datum.len() as u64 + SPARE_ITEMS };
        self.walk(&mut walk).map_err(Fault::undecodable)?;
        if walk.rest.is_empty() { Ok(()) } else { Err(TRAILING) }
    }

    fn walk(&self, walk: &mut Walk<'_>) -> Result<(), Wrong> {
        match self {
            Self::Null => Ok(()),
            Self::Boolean => walk.boolean(),
            Self::Int => walk.int(),
            Self::Long => walk.varint().map(drop),
            Self::Width(width) => walk.take(*width).map(drop),
            Self::Bytes => walk.bytes().map(drop),
            Self::String => walk.string().map(drop),
            Self::Enum(symbols) => walk.index(*symbols, "an enum has no symbol of that index").map(drop),
            Self::Union(branches) => {
                let branch = walk.index(branches.len(), "a union has no branch of that index")?;
                branches[branch].walk(walk)
            }
            Self::Record(fields) => fields.iter().try_for_each(|field| field.walk(walk)),
            Self::Array(item) => walk.blocks(|walk| item.walk(walk)),
            Self::Map(value) => walk.map(value),
        }
    }
}

fn compile_all(schemas: &[Value]) -> Result<Vec<Validator>, String> {
    schemas.iter().map(Validator::compile).collect()
}

fn list<'a>(schema: &'a Value, key: &str) -> Result<&'a Vec<Value>, String> {
    schema[key].as_array().ok_or_else(|| format!("{} has no {key}", schema["type"]))
}

/// A place in a datum, and how many items its arrays and maps may still count.
struct Walk<'a> {
    rest: &'a [u8],
    items: u64,
}

impl<'a> Walk<'a> {
    #[inline]
    fn take(&mut self, count: usize) -> Result<&'a [u8], Wrong> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(TRUNCATED)?;
        self.rest = rest;
        Ok(taken)
    }

    /// A number as it stands in the datum, in at most 64 bits; most are lengths and indexes of one byte.
    #[inline]
    fn varint(&mut self) -> Result<u64, Wrong> {
        match self.rest {
            [byte, rest @ ..] if *byte < 0x80 => {
                self.rest = rest;
                Ok(u64::from(*byte))
            }
            _ => self.long_varint(),
        }
    }

    fn long_varint(&mut self) -> Result<u64, Wrong> {
        let mut value = 0_u64;
        for (index, &byte) in self.rest.iter().enumerate() {
            if index == 9 && byte > 1 {
                return Err("a number has more than 64 bits");
            }
            value |= u64::from(byte & 0x7f) << (7 * index);
            if byte < 0x80 {
                self.rest = &self.rest[index + 1..];
                return Ok(value);
            }
        }
        Err(TRUNCATED)
    }

    #[inline]
    fn long(&mut self) -> Result<i64, Wrong> {
        let value = self.varint()?;
        Ok((value >> 1).cast_signed() ^ -(value & 1).cast_signed())
    }

    fn int(&mut self) -> Result<(), Wrong> {
        match u32::try_from(self.varint()?) {
            Ok(_) => Ok(()),
            Err(_) => Err("an int has more than 32 bits"),
        }
    }

    fn boolean(&mut self) -> Result<(), Wrong> {
        match self.take(1)? {
            [0 | 1] => Ok(()),
            _ => Err("a boolean is neither 0 nor 1"),
        }
    }

    #[inline]
    fn index(&mut self, count: usize, missing: &'static str) -> Result<usize, Wrong> {
        let index = usize::try_from(self.long()?).ok().filter(|index| *index < count);
        index.ok_or(missing)
    }

    #[inline]
    fn bytes(&mut self) -> Result<&'a [u8], Wrong> {
        let length = usize::try_from(self.long()?);
        self.take(length.map_err(|_| "a length is negative")?)
    }

    #[inline]
    fn string(&mut self) -> Result<&'a [u8], Wrong> {
        let text = self.bytes()?;
        if text.is_ascii() || std::str::from_utf8(text).is_ok() { Ok(text) } else { Err("a string is not UTF-8") }
    }

    /// The blocks of an array or a map; a negative count is followed by the block's size in bytes.
    fn blocks(&mut self, mut item: impl FnMut(&mut Self) -> Result<(), Wrong>) -> Result<(), Wrong> {
        loop {
            let count = self.long()?;
            if count == 0 {
                return Ok(());
            }
            let left = if count < 0 { Some(self.left_after_block()?) } else { None };
            let left_items = self.items.checked_sub(count.unsigned_abs());
            self.items = left_items.ok_or("a block counts more items than a datum may hold")?;
            for _ in 0..count.unsigned_abs() {
                item(self)?;
            }
            if left.is_some_and(|left| left != self.rest.len()) {
                return Err("a block is not as long as it says");
            }
        }
    }

    fn left_after_block(&mut self) -> Result<usize, Wrong> {
        let size = usize::try_from(self.long()?).map_err(|_| "a block's size is negative")?;
        self.rest.len().checked_sub(size).ok_or(TRUNCATED)
    }

    /// A map whose keys differ: a reader that builds dictionaries keeps one value a key, a column keeps them all.
    fn map(&mut self, value: &Validator) -> Result<(), Wrong> {
        let mut keys = Keys::default();
        self.blocks(|walk| {
            let key = walk.string()?;
            if !keys.insert(key) {
                return Err("a map has a key twice");
            }
            value.walk(walk)
        })
    }
}

/// The keys of one map so far.
#[derive(Default)]
struct Keys<'a> {
    few: Vec<&'a [u8]>,
    many: HashSet<&'a [u8]>,
}

impl<'a> Keys<'a> {
    fn insert(&mut self, key: &'a [u8]) -> bool {
        if self.few.contains(&key) {
            return false;
        }
        if self.few.len() < FEW_KEYS {
            self.few.push(key);
            return true;
        }
        self.many.insert(key)
    }
}
