//! The catalogue and the user table as they stand at the end of a day.

use std::iter::FusedIterator;
use std::ops::{Range, RangeInclusive};
use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};

use crate::fault::{Fault, HardNegative};
use crate::item::{self, HARMFUL_ABOVE, Item, ItemBlock, Likeness};
use crate::population::Day;
use crate::schema::{items_schema, users_schema};
use crate::text::{Text, draw_texts};
use crate::user::{self, User};
use crate::world::{AGE_BANDS, CATEGORIES, COUNTRIES, DEVICES, World};

/// Blocks of 64 members that make one batch.
const BLOCKS_A_BATCH: i64 = 256;

/// The catalogue of one day: an iterator of batches of about 16,000 items, in order of id.
pub struct Items {
    world: Arc<World>,
    listed: Range<i64>,
    blocks: RangeInclusive<i64>,
}

impl Items {
    pub(crate) fn new(world: Arc<World>, day: Day) -> Items {
        let listed = world.items.listed(day);
        Items { world, blocks: ItemBlock::covering(&listed), listed }
    }
}

impl Iterator for Items {
    type Item = RecordBatch;

    fn next(&mut self) -> Option<RecordBatch> {
        let mut rows = Vec::new();
        for block in take_blocks(&mut self.blocks) {
            let items = ItemBlock::draw(&self.world, block);
            let texts = draw_texts(&self.world, block, &items);
            rows.extend(
                items.items.into_iter().zip(texts).filter(|(item, _)| self.listed.contains(&item.serial)),
            );
        }
        (!rows.is_empty()).then(|| items_batch(&rows))
    }
}

impl FusedIterator for Items {}

/// The users of one day: an iterator of batches of about 16,000 users, in order of id.
pub struct Users {
    world: Arc<World>,
    listed: Range<i64>,
    blocks: RangeInclusive<i64>,
}

impl Users {
    pub(crate) fn new(world: Arc<World>, day: Day) -> Users {
        let listed = world.users.listed(day);
        Users { world, blocks: user::blocks_covering(&listed), listed }
    }
}

impl Iterator for Users {
    type Item = RecordBatch;

    fn next(&mut self) -> Option<RecordBatch> {
        let mut rows = Vec::new();
        for block in take_blocks(&mut self.blocks) {
            let users = user::draw_block(&self.world, block);
            rows.extend(users.into_iter().filter(|user| self.listed.contains(&user.serial)));
        }
        (!rows.is_empty()).then(|| users_batch(&rows))
    }
}

impl FusedIterator for Users {}

fn take_blocks(blocks: &mut RangeInclusive<i64>) -> RangeInclusive<i64> {
    let (start, end) = (*blocks.start(), *blocks.end());
    let last = end.min(start + BLOCKS_A_BATCH - 1);
    *blocks = last + 1..=end;
    start..=last
}

fn items_batch(rows: &[(Item, Text)]) -> RecordBatch {
    let category = |item: &Item| CATEGORIES[item.cluster as usize];
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from_iter_values(rows.iter().map(|(item, _)| item.serial))),
        Arc::new(StringArray::from_iter_values(rows.iter().map(|(_, text)| &text.title))),
        Arc::new(StringArray::from_iter_values(rows.iter().map(|(_, text)| &text.description))),
        Arc::new(StringArray::from_iter_values(rows.iter().map(|(item, _)| category(item)))),
        Arc::new(Int64Array::from_iter_values(rows.iter().map(|(item, _)| item.creator_id))),
        Arc::new(Float64Array::from_iter_values(rows.iter().map(|(item, _)| item.harm_score))),
        Arc::new(Float64Array::from_iter_values(
            rows.iter().map(|(item, _)| f64::from(item.duration_ds) / 10.0),
        )),
        Arc::new(Float64Array::from_iter(
            rows.iter().map(|(item, _)| item.price.map(|cents| f64::from(cents) / 100.0)),
        )),
        Arc::new(
            TimestampMicrosecondArray::from_iter_values(rows.iter().map(|(item, _)| item.posted_at_micros))
                .with_timezone("UTC"),
        ),
    ];
    RecordBatch::try_new(items_schema(), columns).expect("the columns are the schema's")
}

fn users_batch(rows: &[User]) -> RecordBatch {
    let words = |word: fn(&User) -> &'static str| {
        Arc::new(StringArray::from_iter_values(rows.iter().map(word))) as ArrayRef
    };
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from_iter_values(rows.iter().map(|user| user.serial))),
        words(|user| AGE_BANDS[user.age_band as usize]),
        words(|user| COUNTRIES[user.country as usize].0),
        words(|user| DEVICES[user.device as usize]),
        Arc::new(
            TimestampMicrosecondArray::from_iter_values(rows.iter().map(|user| user.signed_up_at_micros))
                .with_timezone("UTC"),
        ),
    ];
    RecordBatch::try_new(users_schema(), columns).expect("the columns are the schema's")
}

/// The faults of the catalogue at the end of `day`, of pairs whose both items are listed.
pub(crate) fn item_faults(world: &World, day: Day) -> Vec<Fault> {
    let listed = world.items.listed(day);
    let mut faults = Vec::new();
    for block in ItemBlock::covering(&listed) {
        let items = ItemBlock::draw(world, block);
        let texts = draw_texts(world, block, &items);
        for group in &items.groups {
            let slots: Vec<usize> = group
                .slots
                .iter()
                .copied()
                .filter(|slot| listed.contains(&(block * item::BLOCK + *slot as i64)))
                .collect();
            for (n, &first) in slots.iter().enumerate() {
                for &second in &slots[n + 1..] {
                    faults.push(alike(group.likeness, &items, &texts, first, second));
                }
            }
        }
        faults.extend(
            items
                .items
                .iter()
                .filter(|item| listed.contains(&item.serial) && item.harm_score > HARMFUL_ABOVE)
                .map(|item| Fault::Harmful { item_id: item.serial, harm_score: item.harm_score }),
        );
    }
    faults
}

fn alike(likeness: Likeness, items: &ItemBlock, texts: &[Text], first: usize, second: usize) -> Fault {
    let jaccard = texts[first].jaccard(&texts[second]);
    let (first, second) = (items.items[first].serial, items.items[second].serial);
    let hard = |what| Fault::HardNegative { first, second, what, jaccard };
    match likeness {
        Likeness::Twin | Likeness::FarTwin => Fault::Twins { first, second, jaccard },
        Likeness::Sequel => hard(HardNegative::Sequel),
        Likeness::Episode => hard(HardNegative::Episode),
        Likeness::Remake => hard(HardNegative::Remake),
    }
}
