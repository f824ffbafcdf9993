//! Tables as text: fields are quoted where they need it.

use crate::failure::Failure;

/// Rows of fields with a separator between them, each row with its line end.
pub(crate) fn rows<R>(separator: u8, rows: impl IntoIterator<Item = R>) -> Result<Vec<u8>, Failure>
where
    R: IntoIterator<Item: AsRef<[u8]>>,
{
    let mut table = csv::WriterBuilder::new().delimiter(separator).from_writer(Vec::new());
    let written: csv::Result<()> = rows.into_iter().try_for_each(|row| table.write_record(row));
    written.map_err(|error| Failure::internal("a table", error))?;
    table.into_inner().map_err(|error| Failure::internal("a table", error))
}

/// A table with a header.
pub(crate) fn with_header<const N: usize>(
    separator: u8,
    header: [&str; N],
    body: impl IntoIterator<Item = [String; N]>,
) -> Result<Vec<u8>, Failure> {
    rows(separator, std::iter::once(header.map(str::to_owned)).chain(body))
}

/// One row of comma-separated values.
pub(crate) fn row(fields: &[&str]) -> Result<String, Failure> {
    let bytes = rows(b',', [fields])?;
    String::from_utf8(bytes).map_err(|error| Failure::internal("a table", error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_quoted_where_they_need_it() {
        assert_eq!(
            row(&["a,b", "plain", "a \"c\""]).expect("a row"),
            "\"a,b\",plain,\"a \"\"c\"\"\"\n"
        );
        let table = with_header(b'\t', ["x", "y"], [["1".to_owned(), "2,3".to_owned()]]);
        assert_eq!(table.expect("a table"), b"x\ty\n1\t2,3\n");
    }
}
