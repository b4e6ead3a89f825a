//! The Python module `headgate_avro`: Avro in the Confluent wire format to Arrow.

mod columns;
mod decoder;
mod validator;

use std::sync::Arc;

use arrow_pyarrow::{PyArrowType, ToPyArrow};
use arrow_schema::Schema;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;

use crate::decoder::Decoder;

/// Below the 2 GiB that 32-bit offsets of one column reach, however the bytes are shared among the columns.
const MAX_BATCH_BYTES: usize = 1 << 30;

type Refused = (usize, &'static str, &'static str);

/// Decodes values of one record, whatever versions they were written with. For one thread at a time.
///
/// Schemas are JSON without logical types, and every named type stands in full wherever it is used.
///
/// Args:
///     `reader_schema`: What values are read as.
///     `target`: Its fields as columns, in the same order; enums are strings.
///     `max_batch_bytes`: Bytes of values in one batch; 1 GiB without it.
#[pyclass(name = "Decoder", module = "headgate_avro")]
struct PyDecoder(Decoder);

#[pymethods]
impl PyDecoder {
    #[new]
    #[pyo3(signature = (reader_schema, target, *, max_batch_bytes = MAX_BATCH_BYTES))]
    fn new(reader_schema: String, target: PyArrowType<Schema>, max_batch_bytes: usize) -> Self {
        Self(Decoder::new(reader_schema, Arc::new(target.0), max_batch_bytes))
    }

    /// Take on values with a schema id.
    ///
    /// Raises:
    ///     `ValueError`: The schema cannot be read as the reader's, as far as this decoder can.
    fn add_writer_schema(&mut self, schema_id: u32, schema_json: String) -> PyResult<()> {
        self.0.add_writer_schema(schema_id, schema_json).map_err(PyValueError::new_err)
    }

    /// Decode framed values; the interpreter's lock is released meanwhile.
    ///
    /// Returns:
    ///     Rows in the order of the values, in batches of at most `max_batch_bytes`; and of each value that is no row its
    ///     index, the cause and words that quote nothing of it. Together they are as many as the values.
    #[expect(clippy::needless_pass_by_value, reason = "PyO3 gives a list as a vector")]
    fn decode<'py>(
        &mut self,
        py: Python<'py>,
        values: Vec<Option<PyBackedBytes>>,
    ) -> PyResult<(Vec<Bound<'py, PyAny>>, Vec<Refused>)> {
        let (batches, refusals) = py.detach(|| self.0.decode(&values));
        let batches = batches.iter().map(|batch| batch.to_pyarrow(py)).collect::<PyResult<_>>()?;
        Ok((batches, refusals.into_iter().map(|(index, fault)| (index, fault.cause, fault.message)).collect()))
    }
}

#[pymodule]
fn headgate_avro(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add_class::<PyDecoder>()
}
