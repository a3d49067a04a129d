//! How a password comes in: typed twice, or as one line of standard input; never by argument,
//! which every process of the machine could read.

use std::io::{self, BufRead, Read};

use clap::Args;

use crate::{appliance::administration::Password, cli::console::Console};

/// Bytes of a password.
const PASSWORD_BYTES_MAX: usize = 1024;

/// Where a password comes from.
#[derive(Debug, Args)]
pub(super) struct PasswordFlags {
    /// Read the password from the first line of standard input
    #[arg(long)]
    password_stdin: bool,
}

/// Why there is no password.
#[derive(Debug, thiserror::Error)]
pub(super) enum PasswordError {
    #[error("expected --password-stdin, because there is no terminal to ask on")]
    NoTerminal,
    #[error("expected a password, found nothing")]
    Empty,
    #[error("expected a password of at most {PASSWORD_BYTES_MAX} bytes, found more")]
    TooLong,
    #[error("expected a password in UTF-8, found other bytes")]
    NotText,
    #[error("expected a password without a zero character, found one")]
    Zero,
    #[error("expected the same password twice, found two different ones")]
    Different,
    #[error("cannot read the password: {0}")]
    Input(#[from] io::Error),
}

impl PasswordFlags {
    /// The password for `name`.
    pub(super) fn read(
        &self,
        name: &str,
        console: &mut Console<'_>,
    ) -> Result<Password, PasswordError> {
        if self.password_stdin {
            return from_line(&mut *console.input);
        }
        let ask = console.keyboard.ok_or(PasswordError::NoTerminal)?;
        let password = checked(ask(&format!("Password for {name}: "))?)?;
        if ask("The same again: ")? != password.expose() {
            return Err(PasswordError::Different);
        }
        Ok(password)
    }
}

/// The first line of `input`, less one line end.
fn from_line(input: &mut dyn BufRead) -> Result<Password, PasswordError> {
    const LINE_END: &str = "\r\n";
    let bytes_max = u64::try_from(PASSWORD_BYTES_MAX + LINE_END.len()).unwrap_or(u64::MAX);
    let mut line = Vec::new();
    input.take(bytes_max).read_until(b'\n', &mut line)?;
    let mut password = String::from_utf8(line).map_err(|_| PasswordError::NotText)?;
    if password.ends_with('\n') {
        password.pop();
        if password.ends_with('\r') {
            password.pop();
        }
    }
    checked(password)
}

fn checked(password: String) -> Result<Password, PasswordError> {
    if password.is_empty() {
        return Err(PasswordError::Empty);
    }
    if password.len() > PASSWORD_BYTES_MAX {
        return Err(PasswordError::TooLong);
    }
    if password.contains('\0') {
        return Err(PasswordError::Zero);
    }
    Ok(Password::new(password))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes of these bytes on standard input.
    fn read(line: &[u8]) -> Result<String, String> {
        let mut input = line;
        from_line(&mut input)
            .map(|password| password.expose().to_owned())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn one_line_is_a_password() {
        let longest = "x".repeat(PASSWORD_BYTES_MAX);
        for (line, password) in [
            ("correct horse\n", "correct horse"),
            ("correct horse\r\n", "correct horse"),
            ("correct horse", "correct horse"),
            (" spaces \n\n", " spaces "),
            ("first\nsecond\n", "first"),
            (&format!("{longest}\n"), &longest),
            (&format!("{longest}\r\n"), &longest),
        ] {
            assert_eq!(read(line.as_bytes()), Ok(password.to_owned()));
        }
    }

    #[test]
    fn what_is_no_password_is_refused() {
        let long = "x".repeat(PASSWORD_BYTES_MAX + 1);
        for (line, expected) in [
            (&b""[..], PasswordError::Empty),
            (b"\n", PasswordError::Empty),
            (b"\r\n", PasswordError::Empty),
            (b"a\0b\n", PasswordError::Zero),
            (b"\xff\n", PasswordError::NotText),
            (long.as_bytes(), PasswordError::TooLong),
            (long.repeat(9).as_bytes(), PasswordError::TooLong),
        ] {
            assert_eq!(read(line), Err(expected.to_string()));
        }
    }

    /// What comes of a person who types like that.
    fn ask(keyboard: Option<fn(&str) -> io::Result<String>>) -> Result<String, String> {
        let mut console = Console {
            input: &mut io::empty(),
            output: &mut io::sink(),
            notes: &mut io::sink(),
            keyboard,
        };
        let flags = PasswordFlags {
            password_stdin: false,
        };
        flags
            .read("ada", &mut console)
            .map(|password| password.expose().to_owned())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_person_types_it_twice() {
        let same = ask(Some(|_| Ok("correct horse".to_owned())));
        assert_eq!(same, Ok("correct horse".to_owned()));
        let different = ask(Some(|prompt| Ok(prompt.to_owned())));
        assert_eq!(different, Err(PasswordError::Different.to_string()));
        assert_eq!(ask(None), Err(PasswordError::NoTerminal.to_string()));
    }
}
