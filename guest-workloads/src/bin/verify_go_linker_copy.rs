//! Checks the copies that `seed_003_go_linker_copy` said it had made and synced.

use crashproof_guests as guest;
use crashproof_guests::linked;
use crashproof_guests::linked::Output;

fn main() {
    for number in guest::numbers_after("copied ") {
        let name = linked::copy_name(number);
        match std::fs::read(&name) {
            Ok(bytes) if bytes == Output::new(number).bytes() => {}
            Ok(_) => guest::give_up(&name, &"it is not what was copied"),
            Err(error) => guest::give_up(&name, &error),
        }
    }
}
