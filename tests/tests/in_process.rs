//! A gateway inside the test's process: everything that needs no second program.

mod turns;
