//! The binary from outside: exit code, standard output and standard error, in a folder of its own.

mod around_the_gate;
mod artifact;
mod bad_input;
mod crash;
mod damage;
mod data_stop;
mod demo_files;
mod disk;
mod endings;
mod faults;
mod gate;
mod house;
mod losses;
mod models;
mod movielens;
mod nightly;
mod nights;
#[path = "../support/note.rs"]
mod note;
mod odd_data;
mod own_trainer;
#[path = "../support/python.rs"]
mod python;
#[path = "../support/data.rs"]
mod real;
mod remote;
mod search;
mod serve;
mod serve_api;
mod serve_care;
mod serve_contract;
mod serve_erase;
mod serve_kills;
mod serve_postgres;
mod serve_remote;
mod serve_starts;
mod server;
mod servers;
mod shop;
#[path = "../support/skip.rs"]
mod skip;
mod table;
mod together;
