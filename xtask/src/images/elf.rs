//! Looks into a binary's header: an image without any library can only start a static one.

use object::LittleEndian;
use object::elf::{FileHeader64, PT_INTERP};
use object::read::elf::{FileHeader as _, ProgramHeader as _};

use super::arch::Arch;

/// Errors with the reason why `binary` cannot be the only file of an image for `arch`.
pub(crate) fn check(binary: &[u8], arch: Arch) -> Result<(), String> {
    let broken = |error| format!("is no 64-bit little-endian ELF binary: {error}");
    let header = FileHeader64::<LittleEndian>::parse(binary).map_err(broken)?;
    let endian = header.endian().map_err(broken)?;
    let machine = header.e_machine(endian);
    if machine != arch.elf_machine() {
        return Err(format!("is for ELF machine {machine}, not for {}", arch.name()));
    }
    let segments = header
        .program_headers(endian, binary)
        .map_err(|error| format!("is cut off in its program headers: {error}"))?;
    // The segment that names the loader of shared libraries.
    if segments.iter().any(|segment| segment.p_type(endian) == PT_INTERP) {
        return Err("is not static: it asks for a loader of shared libraries".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use object::elf::PT_INTERP;

    use super::check;
    use crate::images::arch::Arch;

    /// A header with program headers of these kinds.
    fn elf(machine: u16, kinds: &[u32]) -> Vec<u8> {
        let mut binary = vec![0; 64];
        binary[..7].copy_from_slice(&[0x7f, b'E', b'L', b'F', 2, 1, 1]);
        binary[18..20].copy_from_slice(&machine.to_le_bytes());
        binary[32..40].copy_from_slice(&64_u64.to_le_bytes());
        binary[54..56].copy_from_slice(&56_u16.to_le_bytes());
        binary[56..58].copy_from_slice(&u16::try_from(kinds.len()).unwrap().to_le_bytes());
        for kind in kinds {
            binary.extend(kind.to_le_bytes());
            binary.extend([0; 52]);
        }
        binary
    }

    #[test]
    fn a_static_binary_passes_for_its_own_architecture_only() {
        assert_eq!(check(&elf(62, &[6, 1, 1]), Arch::Amd64), Ok(()));
        assert!(
            check(&elf(62, &[6, 1, 1]), Arch::Arm64)
                .unwrap_err()
                .contains("machine 62")
        );
    }

    #[test]
    fn a_dynamic_binary_is_refused() {
        let error = check(&elf(183, &[6, PT_INTERP, 1]), Arch::Arm64).unwrap_err();
        assert!(error.contains("not static"), "{error}");
        let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let arch = if cfg!(target_arch = "x86_64") {
            Arch::Amd64
        } else {
            Arch::Arm64
        };
        assert!(check(&own, arch).is_err(), "this test is linked dynamically");
    }

    #[test]
    fn what_is_broken_is_refused() {
        assert!(check(b"#!/bin/sh\n", Arch::Amd64).is_err());
        let mut cut = elf(62, &[1, 1]);
        cut.truncate(70);
        assert!(check(&cut, Arch::Amd64).unwrap_err().contains("cut off"));
    }
}
