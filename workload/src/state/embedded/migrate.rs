//! From format 0, which had words and ids as they are and named no contract.

use redb::{ReadableTable as _, TableDefinition, TableError, WriteTransaction};

use super::{NUMBERS, SEEN, opening};
use crate::state::{
    codec::{Codec, Head, Number},
    error::StateError,
};

/// Word → how often.
const COUNTS: TableDefinition<'_, &str, u64> = TableDefinition::new("counts");
/// `collaborator/message` of every message that is in the counts.
const COUNTED: TableDefinition<'_, &str, ()> = TableDefinition::new("counted");
/// Id that Pub/Sub gave to the message → why it was refused.
const REFUSED: TableDefinition<'_, &str, &str> = TableDefinition::new("refused");
/// Why → how many.
const REFUSALS: TableDefinition<'_, &str, u64> = TableDefinition::new("refusals");

/// Makes the present tables, fills them from the old ones and removes these. The new head.
pub(super) fn from_format_0(transaction: &WriteTransaction, codec: &Codec) -> Result<Head, StateError> {
    let mut head = Head::default();
    let mut sealer = codec.sealer()?;
    let mut seen = transaction.open_table(SEEN).map_err(opening)?;
    let mut numbers = transaction.open_table(NUMBERS).map_err(opening)?;
    let old = |found: Result<bool, TableError>| found.map_err(opening);
    let exists = transaction.list_tables().map_err(opening)?.any(|table| redb::TableHandle::name(&table) == "counted");
    if !exists {
        return Ok(head);
    }
    for entry in transaction.open_table(COUNTED).map_err(opening)?.iter().map_err(opening)? {
        let (name, _) = entry.map_err(opening)?;
        let (collaborator, message) =
            name.value().split_once('/').ok_or(StateError::tampered("a message of format 0 has no collaborator"))?;
        let key = codec.message(collaborator, message);
        seen.insert(&key, ()).map_err(opening)?;
        head.sum.add(&codec.seen_tag(&key));
        head.messages += 1;
    }
    for entry in transaction.open_table(REFUSED).map_err(opening)?.iter().map_err(opening)? {
        let key = codec.delivery(entry.map_err(opening)?.0.value());
        seen.insert(&key, ()).map_err(opening)?;
        head.sum.add(&codec.seen_tag(&key));
        head.refused += 1;
    }
    for entry in transaction.open_table(COUNTS).map_err(opening)?.iter().map_err(opening)? {
        let (word, count) = entry.map_err(opening)?;
        let number = Number { word: word.value().to_owned(), count: count.value() };
        let key = codec.word(&number.word);
        let value = sealer.number(&key, &number)?;
        numbers.insert(&key, value.as_slice()).map_err(opening)?;
        head.sum.add(&codec.number_tag(&key, &value));
        head.words += 1;
    }
    for entry in transaction.open_table(REFUSALS).map_err(opening)?.iter().map_err(opening)? {
        let (code, count) = entry.map_err(opening)?;
        head.refusals.insert(code.value().to_owned(), count.value());
    }
    head.sequence = 1;
    old(transaction.delete_table(COUNTED))?;
    old(transaction.delete_table(REFUSED))?;
    old(transaction.delete_table(COUNTS))?;
    old(transaction.delete_table(REFUSALS))?;
    Ok(head)
}
