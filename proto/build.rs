//! Generates the Rust form of `bellwether/v1/*.proto` with protox: no `protoc` has to be installed.

const FILES: [&str; 7] = [
    "bellwether/v1/problem.proto",
    "bellwether/v1/host.proto",
    "bellwether/v1/attempt.proto",
    "bellwether/v1/command.proto",
    "bellwether/v1/check.proto",
    "bellwether/v1/event.proto",
    "bellwether/v1/fleet.proto",
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=bellwether");
    let grpc = std::env::var_os("CARGO_FEATURE_GRPC").is_some();
    tonic_prost_build::configure()
        .build_client(grpc)
        .build_server(grpc)
        .compile_fds(protox::compile(FILES, ["."])?)?;
    Ok(())
}
