//! The binary from outside: exit code, standard output and standard error, in a folder of its own.

mod bad_input;
mod crash;
mod data_stop;
mod demo_files;
mod gate;
mod house;
mod models;
mod movielens;
mod nightly;
mod own_trainer;
mod shop;
mod together;
