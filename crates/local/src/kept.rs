//! A table that was kept in a file: whose it is, and what it tells a simulated WeChat that has
//! forgotten everything.

use std::collections::HashMap;
use std::fmt::Display;
use std::fs::{File, TryLockError};
#[cfg(unix)]
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use component_api::id::AuthorizerAppId;
use component_core::row::authorizer::Standing;
use component_core::store::Store;
use wechat_simulator::{AccountKind, Remembered};

use crate::Error;
use crate::emulators::TABLE;

/// The row that says whose table it is. No function reads it.
const OWNER: &str = "local#owner";

/// The owner of a table whose WeChat is simulated.
const SIMULATED: &str = "simulated";

const YEAR_SECS: u64 = 365 * 86_400;

/// A time that WeChat told is no time if it lies this far ahead of the functions' own: milliseconds,
/// say, from which the clock could never come back. A year is more than a clock is moved by hand to
/// see what becomes of a stack, and far less than any mistake of a unit.
const MAX_AHEAD_OF_OURS_SECS: u64 = YEAR_SECS;

/// The functions' own times go as far ahead as their clock went, and it may have run a thousand times
/// too fast. Further ahead than this it went by such a time of WeChat's.
const MAX_AHEAD_SECS: u64 = 100 * YEAR_SECS;

type Row = HashMap<String, AttributeValue>;

/// What a kept table tells.
pub struct Resumed {
    /// The latest time in it, in Unix seconds, or now. If the clock started before it, new events
    /// would count as old.
    pub latest: u64,
    /// The authorizations that hold.
    pub authorizations: Vec<Remembered>,
}

/// Takes the file for this process alone, until what is returned is dropped. A new one is readable
/// for its owner only: it will hold tokens.
///
/// # Errors
/// If it cannot be opened, or another process has it.
pub fn lock(file: &Path) -> Result<File, Error> {
    let wrong = |error: &dyn Display| format!("{}: {error}", file.display());
    let mut options = File::options();
    options.create(true).append(true);
    #[cfg(unix)]
    options.mode(0o600);
    let opened = options.open(file).map_err(|error| wrong(&error))?;
    opened.try_lock().map_err(|error| match error {
        TryLockError::WouldBlock => wrong(&"another process is using it"),
        TryLockError::Error(error) => wrong(&error),
    })?;
    Ok(opened)
}

/// Makes a table that of `component`, an app id with the address of its WeChat, or of a simulated
/// WeChat if there is none.
///
/// The tokens of one are worth nothing to the other, which would say that every merchant has
/// withdrawn.
///
/// # Errors
/// If it is another's, or cannot be read or written.
pub async fn claim(dynamodb: &Client, component: Option<&str>) -> Result<(), Error> {
    let get = dynamodb.get_item().table_name(TABLE);
    let get = get.key("pk", AttributeValue::S(OWNER.to_owned())).send();
    let row = get.await?.item;
    let owner = match &row {
        Some(row) => text(row, "owner"),
        // A version before this one has written the rows, for a simulated WeChat.
        None if holds_rows(dynamodb).await? => Some(SIMULATED),
        None => None,
    };
    let claimed = component.unwrap_or(SIMULATED);
    match owner {
        Some(owner) if owner == claimed => Ok(()),
        Some(SIMULATED) => {
            Err("the file holds the table of a simulated WeChat: name another with --data".into())
        }
        Some(owner) => Err(format!(
            "the file holds the table of the component {owner}: name another with --data"
        )
        .into()),
        None => {
            let put = dynamodb.put_item().table_name(TABLE);
            let put = put.item("pk", AttributeValue::S(OWNER.to_owned()));
            let put = put.item("owner", AttributeValue::S(claimed.to_owned()));
            put.send().await?;
            Ok(())
        }
    }
}

/// Removes from a kept table what only the simulated WeChat of the last run knew, its ticket and its
/// access tokens, and answers what the next one has to know.
///
/// # Errors
/// If the table cannot be read or written.
pub async fn resume(dynamodb: &Client, now: u64) -> Result<Resumed, Error> {
    const OURS: [&str; 3] = ["last_push_at", "received_at", "handled_at"];
    const OF_WECHAT: [&str; 3] = ["auth_epoch", "revoked_at", "create_time"];
    let mut latest = now;
    let mut told = Vec::new();
    let mut authorizations = Vec::new();
    let store = Store::new(dynamodb.clone(), TABLE.to_owned());
    for mut row in rows(dynamodb).await? {
        let ours = times(&row, OURS).filter(|time| *time <= now + MAX_AHEAD_SECS);
        latest = ours.fold(latest, u64::max);
        told.extend(times(&row, OF_WECHAT));
        let pk = text(&row, "pk").unwrap_or_default().to_owned();
        if pk.starts_with("component#") {
            let delete = dynamodb.delete_item().table_name(TABLE);
            delete.key("pk", AttributeValue::S(pk)).send().await?;
            continue;
        }
        if let Some(appid) = pk.strip_prefix("authorizer#") {
            authorizations.extend(authorization(&store, appid).await?);
        }
        if row.remove("access_token").is_some() {
            let put = dynamodb.put_item().table_name(TABLE);
            put.set_item(Some(row)).send().await?;
        }
    }
    let told = told.into_iter();
    let credible = told.filter(|time| *time <= latest + MAX_AHEAD_OF_OURS_SECS);
    Ok(Resumed {
        latest: credible.fold(latest, u64::max),
        authorizations,
    })
}

/// What WeChat knew of an account that is authorized.
async fn authorization(store: &Store, appid: &str) -> Result<Option<Remembered>, Error> {
    let Ok(appid) = AuthorizerAppId::parse(appid) else {
        return Ok(None);
    };
    let row = store.authorizer(&appid).await?;
    if row.standing != Standing::Authorized {
        return Ok(None);
    }
    let kind = if row.is_mini_program == Some(true) {
        AccountKind::MiniProgram
    } else {
        AccountKind::OfficialAccount
    };
    let sets = row.permission_sets.iter();
    Ok(row.refresh_token.map(|refresh_token| Remembered {
        appid: appid.to_string(),
        name: row.name,
        kind,
        refresh_token: refresh_token.expose().to_owned(),
        auth_time: row.auth_epoch.as_secs(),
        permission_sets: sets.filter_map(|set| u32::try_from(*set).ok()).collect(),
    }))
}

async fn holds_rows(dynamodb: &Client) -> Result<bool, Error> {
    let first = dynamodb.scan().table_name(TABLE).limit(1).send();
    Ok(first.await?.count() > 0)
}

async fn rows(dynamodb: &Client) -> Result<Vec<Row>, Error> {
    let scan = dynamodb.scan().table_name(TABLE).into_paginator().items();
    let mut pages = scan.send();
    let mut rows = Vec::new();
    while let Some(row) = pages.try_next().await? {
        rows.push(row);
    }
    Ok(rows)
}

fn text<'a>(row: &'a Row, name: &str) -> Option<&'a str> {
    Some(row.get(name)?.as_s().ok()?.as_str())
}

fn times<const N: usize>(row: &Row, names: [&'static str; N]) -> impl Iterator<Item = u64> {
    names
        .into_iter()
        .filter_map(|name| row.get(name)?.as_n().ok()?.parse().ok())
}
