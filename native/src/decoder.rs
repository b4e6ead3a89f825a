//! Framed Avro values to Arrow batches: what is beyond doubt becomes rows, everything else is refused by its index.

use std::collections::HashMap;
use std::ops::{Deref, Range};
use std::panic::{AssertUnwindSafe, catch_unwind};

use arrow_array::{RecordBatch, UInt64Array};
use arrow_avro::reader::{Decoder as DatumDecoder, DecoderMode, ReaderBuilder};
use arrow_avro::schema::{AvroSchema, Fingerprint, FingerprintAlgorithm, SchemaStore};
use arrow_schema::{ArrowError, SchemaRef};
use arrow_select::concat::concat_batches;
use arrow_select::take::take_record_batch;

use crate::columns::conformed;
use crate::validator::{Fault, Validator};

/// A zero byte and the schema id in four bytes stand before each datum.
const FRAME_BYTES: usize = 5;
/// Rows are bounded by what is given at a time, not by the datum decoder.
const UNBOUNDED: usize = usize::MAX >> 1;

const TOMBSTONE: Fault = Fault { cause: "tombstone", message: "a tombstone where a record is wanted" };
const BAD_MAGIC: Fault = Fault { cause: "bad_magic", message: "no zero byte and schema id before the datum" };
const UNKNOWN_SCHEMA: Fault = Fault { cause: "unknown_schema_id", message: "no writer schema was added for the id" };
const UNRESOLVED: Fault = Fault::undecodable("the datum cannot be read with the reader's schema");
const UNJOINED: Fault = Fault::undecodable("the batch cannot be put together");

/// A value that did not become a row: its index in the input, and why.
pub type Refusal = (usize, Fault);

/// Decodes values of one record, whatever versions they were written with, into batches of one Arrow schema.
pub struct Decoder {
    reader: String,
    target: SchemaRef,
    max_batch_bytes: usize,
    writers: HashMap<u32, Writer>,
}

struct Writer {
    schema: String,
    validator: Validator,
    /// Kept between batches for its buffers; None once it has failed, which leaves its columns of unequal length.
    datums: Option<DatumDecoder>,
}

impl Decoder {
    pub fn new(reader: String, target: SchemaRef, max_batch_bytes: usize) -> Self {
        Self { reader, target, max_batch_bytes, writers: HashMap::new() }
    }

    /// Takes on values with a schema id; the text says why the schema cannot be read as the reader's.
    pub fn add_writer_schema(&mut self, schema_id: u32, schema: String) -> Result<(), String> {
        let parsed = serde_json::from_str(&schema).map_err(|error| error.to_string())?;
        let validator = Validator::compile(&parsed)?;
        let datums = guarded(|| datum_decoder(&self.reader, &schema)).map_err(|error| error.to_string())?;
        let none = RecordBatch::new_empty(datums.schema());
        guarded(|| conformed(&none, &self.target)).map_err(|error| error.to_string())?;
        self.writers.insert(schema_id, Writer { schema, validator, datums: Some(datums) });
        Ok(())
    }

    /// Decodes values in order, into as many batches as the bound on their bytes makes.
    pub fn decode<B: Deref<Target = [u8]>>(&mut self, values: &[Option<B>]) -> (Vec<RecordBatch>, Vec<Refusal>) {
        let (mut batches, mut refusals) = (Vec::new(), Vec::new());
        let mut begin = 0;
        while begin < values.len() {
            let piece = begin..self.piece_end(values, begin);
            begin = piece.end;
            batches.extend(self.decode_piece(values, piece, &mut refusals));
        }
        refusals.sort_unstable_by_key(|refusal| refusal.0);
        (batches, refusals)
    }

    fn piece_end<B: Deref<Target = [u8]>>(&self, values: &[Option<B>], begin: usize) -> usize {
        let mut bytes = 0;
        let fits = |value: &&Option<B>| {
            bytes += value.as_ref().map_or(0, |value| value.len());
            bytes <= self.max_batch_bytes
        };
        (begin + values[begin..].iter().take_while(fits).count()).max(begin + 1)
    }

    fn decode_piece<B: Deref<Target = [u8]>>(
        &mut self,
        values: &[Option<B>],
        piece: Range<usize>,
        refusals: &mut Vec<Refusal>,
    ) -> Option<RecordBatch> {
        let mut parts = Parts::default();
        for (schema_id, group) in self.by_writer(values, piece, refusals) {
            let Some(writer) = self.writers.get_mut(&schema_id) else { continue };
            let mut sound = Vec::with_capacity(group.len());
            for datum in group {
                match writer.validator.check(datum.bytes) {
                    Ok(()) => sound.push(datum),
                    Err(fault) => refusals.push((datum.index, fault)),
                }
            }
            writer.decode(&self.reader, &self.target, &sound, &mut parts, refusals);
        }
        parts.join(&self.target, refusals)
    }

    /// Sorts values by schema id; refuses those without a frame and those of an id that was not added.
    fn by_writer<'v, B: Deref<Target = [u8]>>(
        &self,
        values: &'v [Option<B>],
        piece: Range<usize>,
        refusals: &mut Vec<Refusal>,
    ) -> Vec<(u32, Vec<Datum<'v>>)> {
        let mut groups: Vec<(u32, Vec<Datum<'v>>)> = Vec::new();
        for index in piece {
            match framed(values[index].as_deref()) {
                Err(fault) => refusals.push((index, fault)),
                Ok((schema_id, bytes)) => match groups.iter_mut().find(|group| group.0 == schema_id) {
                    Some(group) => group.1.push(Datum { index, bytes }),
                    None if self.writers.contains_key(&schema_id) => {
                        groups.push((schema_id, vec![Datum { index, bytes }]));
                    }
                    None => refusals.push((index, UNKNOWN_SCHEMA)),
                },
            }
        }
        groups
    }
}

#[derive(Clone, Copy)]
struct Datum<'v> {
    index: usize,
    bytes: &'v [u8],
}

impl Writer {
    /// Decodes valid datums; halves where they cannot be, down to the one at fault.
    fn decode(
        &mut self,
        reader: &str,
        target: &SchemaRef,
        datums: &[Datum<'_>],
        parts: &mut Parts,
        refusals: &mut Vec<Refusal>,
    ) {
        if datums.is_empty() {
            return;
        }
        match (self.columns(reader, target, datums), datums) {
            (Ok(batch), _) => parts.push(batch, datums),
            (Err(_), [datum]) => refusals.push((datum.index, UNRESOLVED)),
            (Err(_), _) => {
                let (left, right) = datums.split_at(datums.len() / 2);
                self.decode(reader, target, left, parts, refusals);
                self.decode(reader, target, right, parts, refusals);
            }
        }
    }

    fn columns(&mut self, reader: &str, target: &SchemaRef, datums: &[Datum<'_>]) -> Result<RecordBatch, ArrowError> {
        let kept = self.datums.take();
        let (decoder, batch) = guarded(|| {
            let mut decoder = kept.map_or_else(|| datum_decoder(reader, &self.schema), Ok)?;
            for datum in datums {
                if decoder.decode(datum.bytes)? != datum.bytes.len() {
                    return Err(ArrowError::ParseError("not the whole datum was read".into()));
                }
            }
            let batch = decoder.flush()?.ok_or_else(|| ArrowError::ParseError("no rows came out".into()))?;
            Ok((decoder, conformed(&batch, target)?))
        })?;
        self.datums = Some(decoder);
        Ok(batch)
    }
}

/// Batches of one piece, by writer, and where each of their rows stood in the input.
#[derive(Default)]
struct Parts {
    batches: Vec<RecordBatch>,
    indices: Vec<usize>,
}

impl Parts {
    fn push(&mut self, batch: RecordBatch, datums: &[Datum<'_>]) {
        self.batches.push(batch);
        self.indices.extend(datums.iter().map(|datum| datum.index));
    }

    /// Puts the rows in the order of the input.
    fn join(mut self, target: &SchemaRef, refusals: &mut Vec<Refusal>) -> Option<RecordBatch> {
        if self.batches.len() < 2 {
            return self.batches.pop();
        }
        let joined = guarded(|| {
            let rows = concat_batches(target, &self.batches)?;
            if self.indices.is_sorted() {
                return Ok(rows);
            }
            let mut order: Vec<(usize, u64)> = self.indices.iter().copied().zip(0..).collect();
            order.sort_unstable();
            take_record_batch(&rows, &order.into_iter().map(|(_, row)| Some(row)).collect::<UInt64Array>())
        });
        if joined.is_err() {
            refusals.extend(self.indices.iter().map(|&index| (index, UNJOINED)));
        }
        joined.ok()
    }
}

/// The schema id and the datum of a value.
fn framed(value: Option<&[u8]>) -> Result<(u32, &[u8]), Fault> {
    let (frame, datum) = value.ok_or(TOMBSTONE)?.split_first_chunk::<FRAME_BYTES>().ok_or(BAD_MAGIC)?;
    match *frame {
        [0, a, b, c, d] => Ok((u32::from_be_bytes([a, b, c, d]), datum)),
        _ => Err(BAD_MAGIC),
    }
}

fn datum_decoder(reader: &str, writer: &str) -> Result<DatumDecoder, ArrowError> {
    let own = Fingerprint::Id(0);
    let mut schemas = SchemaStore::new_with_type(FingerprintAlgorithm::Id);
    schemas.set(own, AvroSchema::new(writer.to_owned()))?;
    ReaderBuilder::new()
        .with_batch_size(UNBOUNDED)
        .with_decoder_mode(DecoderMode::UnframedDatum)
        .with_reader_schema(AvroSchema::new(reader.to_owned()))
        .with_writer_schema_store(schemas)
        .with_active_fingerprint(own)
        .build_decoder()
}

/// A panic is an error like another: left alone it would pass every `except Exception` above.
fn guarded<T>(work: impl FnOnce() -> Result<T, ArrowError>) -> Result<T, ArrowError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| Err(ArrowError::ComputeError("a panic".into())))
}
