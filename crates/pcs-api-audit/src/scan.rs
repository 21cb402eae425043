//! Reads of whole tables, page after page, and of stretches of time.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::{Client, types::AttributeValue};
use jiff::{SignedDuration, Timestamp};
use pcs_api::audit::{chain::Item, digest};

use crate::{failure::Failure, plain::text};

const HOUR: SignedDuration = SignedDuration::from_hours(1);

/// Every row of the table, as it is when its page is read. Rows of one partition come one after another.
pub async fn rows(
    client: &Client,
    table: &str,
    mut take: impl FnMut(Item) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let scan = client.scan().table_name(table).consistent_read(true);
    let mut pages = scan.into_paginator().send();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| Failure::of_table(&error))?;
        for row in page.items.ok_or_else(Failure::without_rows)? {
            take(row)?;
        }
    }
    Ok(())
}

/// The keys of all rows of the hour of `hour` whose `at` is in the range, by `at` and partition.
pub async fn partitions_of_hour(
    client: &Client,
    table: &str,
    hour: Timestamp,
    from: Timestamp,
    to: Timestamp,
) -> Result<BTreeMap<(String, String), Vec<String>>, Failure> {
    let mut found: BTreeMap<_, Vec<String>> = BTreeMap::new();
    for shard in digest::shards(hour) {
        let query = client
            .query()
            .table_name(table)
            .index_name("byTime")
            .key_condition_expression("byTime = :key AND #at BETWEEN :from AND :to")
            .projection_expression("pk, sk, #at")
            .expression_attribute_names("#at", "at")
            .expression_attribute_values(":key", AttributeValue::S(shard))
            .expression_attribute_values(":from", AttributeValue::S(format!("{from:.3}")))
            .expression_attribute_values(":to", AttributeValue::S(format!("{to:.3}")));
        let mut pages = query.into_paginator().send();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| Failure::of_table(&error))?;
            for row in page.items.ok_or_else(Failure::without_rows)? {
                if let (Some(at), Some(pk), Some(sk)) = (text(&row, "at"), text(&row, "pk"), text(&row, "sk"))
                {
                    let key = (at.to_owned(), pk.to_owned());
                    found.entry(key).or_default().push(sk.to_owned());
                }
            }
        }
    }
    Ok(found)
}

/// The beginnings of the hours that the range touches; `to` is not in it.
pub fn hours(from: Timestamp, to: Timestamp) -> impl Iterator<Item = Timestamp> {
    let seconds = HOUR.as_secs();
    let first = from.as_second().div_euclid(seconds) * seconds;
    let first = Timestamp::from_second(first).unwrap_or(from);
    std::iter::successors(Some(first), |hour| hour.checked_add(HOUR).ok()).take_while(move |hour| *hour < to)
}

/// The rows of these keys.
pub async fn get(client: &Client, table: &str, pk: &str, sk: &str) -> Result<Option<Item>, Failure> {
    let get = client
        .get_item()
        .table_name(table)
        .key("pk", AttributeValue::S(pk.to_owned()))
        .key("sk", AttributeValue::S(sk.to_owned()))
        .consistent_read(true);
    let output = get.send().await.map_err(|error| Failure::of_table(&error))?;
    Ok(output.item)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_touches_its_first_hour_and_not_the_one_it_ends_with() {
        let told = |from: &str, to: &str| {
            hours(from.parse().unwrap(), to.parse().unwrap())
                .map(|hour| hour.to_string())
                .collect::<Vec<_>>()
        };
        assert_eq!(
            told("2026-11-21T22:59:59Z", "2026-11-22T00:00:00Z"),
            ["2026-11-21T22:00:00Z", "2026-11-21T23:00:00Z"]
        );
        assert_eq!(told("2026-11-21T22:00:00Z", "2026-11-21T22:00:01Z").len(), 1);
        assert!(told("2026-11-21T22:00:00Z", "2026-11-21T22:00:00Z").is_empty());
    }
}
