//! The binary from outside: exit code, standard output and standard error, in a folder of its own.

mod bad_input;
mod crash;
mod damage;
mod data_stop;
mod disk;
mod gate;
mod house;
mod models;
mod movielens;
mod nightly;
mod odd_data;
mod own_trainer;
mod remote;
mod servers;
mod shop;
mod table;
mod together;
