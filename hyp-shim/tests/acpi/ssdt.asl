/* SPDX-License-Identifier: MIT */
/* The device of toolstack/libxl_pl011_acpi.c: its AML is compared with this. */
DefinitionBlock ("", "SSDT", 2, "Xen", "PL011", 0)
{
    Scope (\_SB)
    {
        Device (COM0)
        {
            Name (_HID, "ARMH0011")
            Name (_UID, Zero)
            Name (_CRS, ResourceTemplate ()
            {
                Memory32Fixed (ReadWrite, 0x22000000, 0x00001000)
                Interrupt (ResourceConsumer, Level, ActiveHigh, Exclusive) { 32 }
            })
        }
    }
}
