//! The binary from outside: exit code, standard output and standard error, in a folder of its own.

mod around_the_gate;
mod artifact;
mod bad_input;
mod crash;
mod data_stop;
mod demo_files;
mod faults;
mod gate;
mod house;
mod losses;
mod models;
mod movielens;
mod nightly;
mod nights;
mod own_trainer;
mod search;
mod shop;
mod together;
