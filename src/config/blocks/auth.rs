//! Who we say we are: `basic_auth`, `authorization`, or the URL's user info.

use serde_saphyr::Location;

use super::super::endpoint::{check_no_control, check_token, check_username};
use super::super::reader::Parsed;
use super::super::url::UserInfo;
use super::Notes;
use super::document::{Authorization, BasicAuth, Field};
use crate::model::{Secret, SecretSource};
use crate::remote::Auth;

pub(super) fn read(
    basic: Field<BasicAuth>,
    authorization: Field<Authorization>,
    user_info: Option<UserInfo>,
    notes: &mut Notes,
) -> Auth {
    let basic = basic.and_then(|field| Some((field.value?, field.referenced)));
    let authorization = authorization.and_then(|field| Some((field.value?, field.referenced)));
    match (basic, authorization, user_info) {
        (Some(_), Some((_, place)), _) => {
            notes.wrong(place, "authorization stands beside basic_auth: only one way to authenticate may be");
            Auth::None
        }
        (Some((_, place)), None, Some(_)) => {
            notes.wrong(place, "basic_auth stands beside a url with user info: only one of them may be");
            Auth::None
        }
        (Some((basic, place)), None, None) => read_basic(basic, place, notes),
        (None, Some((_, place)), Some(_)) => {
            notes.wrong(place, "authorization stands beside a url with user info: only one of them may be");
            Auth::None
        }
        (None, Some((authorization, place)), None) => read_bearer(authorization, place, notes),
        (None, None, Some(UserInfo { username, password })) => {
            if password.is_some() {
                notes.inline_secret = true;
            }
            let password = password.map(|password| SecretSource::Inline(Secret::new(password)));
            Auth::Basic { username, password }
        }
        (None, None, None) => Auth::None,
    }
}

fn read_basic(basic: BasicAuth, place: Location, notes: &mut Notes) -> Auth {
    let told = notes.misfits.len();
    notes.not_built([("username_file", &basic.username_file)]);
    let username = notes.take("username", basic.username, |text| check_username(&text).map(|()| text));
    let password = read_secret(
        ("password", basic.password),
        ("password_file", basic.password_file),
        check_no_control,
        notes,
    );
    match username {
        Some((username, _)) => Auth::Basic { username, password },
        None => {
            if notes.misfits.len() == told {
                notes.wrong(place, "basic_auth needs a username");
            }
            Auth::None
        }
    }
}

fn read_bearer(authorization: Authorization, place: Location, notes: &mut Notes) -> Auth {
    notes.take("type", authorization.kind, |text| {
        if text.trim().eq_ignore_ascii_case("bearer") {
            Ok(())
        } else {
            Err("of authorization is not built but for Bearer".to_owned())
        }
    });
    let told = notes.misfits.len();
    let token = read_secret(
        ("credentials", authorization.credentials),
        ("credentials_file", authorization.credentials_file),
        check_token,
        notes,
    );
    match token {
        Some(token) => Auth::Bearer(token),
        None => {
            if notes.misfits.len() == told {
                notes.wrong(place, "authorization needs credentials or credentials_file");
            }
            Auth::None
        }
    }
}

fn read_secret(
    inline: (&str, Field<String>),
    file: (&str, Field<String>),
    check: impl FnOnce(&str) -> Parsed<()>,
    notes: &mut Notes,
) -> Option<SecretSource> {
    let secret = notes.text_or_file(inline, file, check);
    notes.inline_secret |= matches!(secret, Some(SecretSource::Inline(_)));
    secret
}
