//! The binary from outside: exit code, standard output and standard error, in a folder of its own.

mod house;
