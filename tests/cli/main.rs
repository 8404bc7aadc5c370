//! The binary from outside: exit code, standard output and standard error, in a folder of its own.

mod bad_input;
mod crash;
mod data_stop;
mod gate;
mod house;
mod models;
mod movielens;
mod nightly;
mod own_trainer;
mod serve;
mod serve_api;
mod serve_contract;
mod serve_erase;
mod serve_remote;
mod server;
mod shop;
mod together;
