mod actions;
mod document;
mod names;
mod patterns;

use super::*;

fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs.iter().copied().collect()
}

fn rules(yaml: &str) -> Rules {
    match Rules::compile(yaml) {
        Ok(rules) => rules,
        Err(errors) => panic!("{yaml}: {errors:?}"),
    }
}

fn errors(yaml: &str) -> Vec<String> {
    match Rules::compile(yaml) {
        Ok(_) => panic!("{yaml} was taken"),
        Err(errors) => errors.iter().map(ToString::to_string).collect(),
    }
}
