//! Decoded columns in the types that are wanted.
//!
//! arrow-avro names nested fields and marks them with metadata as each writer's schema has it, and gives enums as
//! dictionaries. Only batches of one type can be put together. The numbers and texts themselves are left where they are.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int32Type;
use arrow_array::{Array, ArrayRef, ListArray, MapArray, RecordBatch, RecordBatchOptions, StructArray};
use arrow_schema::{ArrowError, DataType, Fields, SchemaRef};
use arrow_select::take::take;

/// The rows under the target's schema; an error where its types are not those of the values.
pub fn conformed(batch: &RecordBatch, target: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    let columns = all(batch.columns(), target.fields())?;
    let rows = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(target.clone(), columns, &rows)
}

fn all(columns: &[ArrayRef], fields: &Fields) -> Result<Vec<ArrayRef>, ArrowError> {
    columns.iter().zip(fields).map(|(column, field)| one(column, field.data_type())).collect()
}

fn one(column: &ArrayRef, target: &DataType) -> Result<ArrayRef, ArrowError> {
    if column.data_type() == target {
        return Ok(column.clone());
    }
    let unlike = || ArrowError::CastError("a column is of another type than is wanted".into());
    Ok(match target {
        DataType::Utf8 => {
            let symbols = column.as_dictionary_opt::<Int32Type>().ok_or_else(unlike)?;
            take(symbols.values(), symbols.keys(), None)?
        }
        DataType::Struct(fields) => Arc::new(record(column.as_struct_opt().ok_or_else(unlike)?, fields)?),
        DataType::List(item) => {
            let list = column.as_list_opt::<i32>().ok_or_else(unlike)?;
            let values = one(list.values(), item.data_type())?;
            Arc::new(ListArray::try_new(item.clone(), list.offsets().clone(), values, list.nulls().cloned())?)
        }
        DataType::Map(entry, sorted) => {
            let map = column.as_map_opt().ok_or_else(unlike)?;
            let DataType::Struct(fields) = entry.data_type() else { return Err(unlike()) };
            let entries = record(map.entries(), fields)?;
            Arc::new(MapArray::try_new(entry.clone(), map.offsets().clone(), entries, map.nulls().cloned(), *sorted)?)
        }
        _ => return Err(unlike()),
    })
}

fn record(column: &StructArray, fields: &Fields) -> Result<StructArray, ArrowError> {
    let children = all(column.columns(), fields)?;
    StructArray::try_new_with_length(fields.clone(), children, column.nulls().cloned(), column.len())
}
